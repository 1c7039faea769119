"""Counting the labels of a split: how many of each class, or the mean and deviation of each number."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from geocompose.data.ends import Ends
from geocompose.data.moments import Moments


class Tally(ABC):
    """What is known of the labels of a split after all of them were added."""

    @abstractmethod
    def add(self, label: np.ndarray) -> None:
        """Take in labels, in the form that their kind has."""

    @property
    @abstractmethod
    def num_labelled(self) -> int:
        """How many pixels or images have a label."""

    @property
    def unlabelled_names(self) -> list[str]:
        """The variables that have no label at all; always empty for classes, since a class may be absent."""
        return []

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the counts under the names that records have for them."""


class ClassTally(Tally):
    """Counts of classes, where each pixel or image has one class.

    what: `pixels` or `images`, as records call them.
    """

    def __init__(self, class_names: Sequence[str], ignore_index: int, what: str) -> None:
        self.class_names = list(class_names)
        self.ignore_index = ignore_index
        self.what = what
        self.counts = np.zeros(len(class_names), dtype=np.int64)

    def add(self, label: np.ndarray) -> None:
        """Take in classes, integers of any shape."""
        self.counts += np.bincount(label[label != self.ignore_index], minlength=len(self.counts))

    @property
    def num_labelled(self) -> int:
        """How many pixels or images have a class."""
        return int(self.counts.sum())

    def describe(self) -> dict[str, Any]:
        """Return how many have a label, and how many have each class."""
        per_class = dict(zip(self.class_names, self.counts.tolist(), strict=True))
        return {f"labelled_{self.what}": self.num_labelled, f"class_{self.what}": per_class}


class MultilabelTally(Tally):
    """Counts of images that have each class; an image may have several, and some may be unknown."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = list(class_names)
        self.counts = np.zeros(len(class_names), dtype=np.int64)
        self.known = np.zeros(len(class_names), dtype=np.int64)
        self._images = 0

    def add(self, label: np.ndarray) -> None:
        """Take in one image's classes (classes): 1, 0 or -1 (unknown)."""
        self.counts += label == 1
        self.known += label >= 0
        self._images += int((label >= 0).any())

    @property
    def num_labelled(self) -> int:
        """How many images have a label of any class."""
        return self._images

    def describe(self) -> dict[str, Any]:
        """Return how many images have a label, and how many have each class."""
        per_class = dict(zip(self.class_names, self.counts.tolist(), strict=True))
        return {"labelled_images": self.num_labelled, "class_images": per_class}


class NumberTally(Tally):
    """Count, mean, deviation and range of each variable; `ends` has their least and greatest values.

    what: `pixels` or `images`, as records call them.
    """

    def __init__(self, variables: Sequence[str], what: str) -> None:
        self.variables = list(variables)
        self.what = what
        self._moments = [Moments(1) for _ in variables]
        self.ends = [Ends() for _ in variables]
        self._labelled = 0

    def add(self, label: np.ndarray) -> None:
        """Take in numbers (variables, ...), NaN where there is no label."""
        flat = label.reshape(len(self.variables), -1)
        there = ~np.isnan(flat)
        self._labelled += int(there.any(0).sum())
        for moments, ends, values, known in zip(self._moments, self.ends, flat, there, strict=True):
            moments.add(values[known][None])
            ends.add(values[known])

    @property
    def num_labelled(self) -> int:
        """How many pixels or images have a number for any variable."""
        return self._labelled

    @property
    def unlabelled_names(self) -> list[str]:
        """The variables without any number."""
        return [name for name, moments in zip(self.variables, self._moments, strict=True) if not moments.count]

    @property
    def mean(self) -> list[float]:
        """A mean for each variable, in float64."""
        return [float(moments.mean[0]) for moments in self._moments]

    @property
    def std(self) -> list[float]:
        """A standard deviation for each variable, in float64."""
        return [float(moments.std[0]) for moments in self._moments]

    def describe(self) -> dict[str, Any]:
        """Return how many have a label, and count, mean, deviation and range of each variable."""
        columns = zip(self.variables, self._moments, self.mean, self.std, self.ends, strict=True)
        return {
            f"labelled_{self.what}": self.num_labelled,
            "variables": {
                name: {"count": moments.count, "mean": mean, "std": std, "min": ends.least, "max": ends.greatest}
                for name, moments, mean, std, ends in columns
            },
        }
