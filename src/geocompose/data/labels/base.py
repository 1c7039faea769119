"""What data needs to know of a kind of label: nothing else in the data depends on which kind it is."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from geocompose.data.ends import Ends
from geocompose.data.given_numbers import BandNumbers
from geocompose.data.labels.tally import NumberTally, Tally
from geocompose.data.moments import is_constant
from geocompose.data.plausibility import lone_in_words
from geocompose.data.scene import Scene
from geocompose.data.window import Window
from geocompose.errors import UserError, choices
from geocompose.imagery.samples import Target

log = logging.getLogger("geocompose")

TARGET_NORMALIZATIONS = ("dataset", "none")


class Labels(ABC):
    """One kind of label, as `Scene.read_label` returns it.

    key: its name in a sample: `mask` for a label of each pixel, `label` for one of the whole image.
    target: what it asks a model for, without the numbers that only a scan knows.
    """

    key: ClassVar[Literal["mask", "label"]]
    target: Target

    @abstractmethod
    def tally(self) -> Tally:
        """Return the empty count of a split's labels."""

    @abstractmethod
    def without(self, label: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the label, with none where the image shows nothing. valid: bool (height, width)."""

    def check(self, label: np.ndarray, scene: Scene, window: Window) -> None:  # noqa: B027 - most need none
        """Refuse values that this kind does not have.

        Raises:
            UserError: names scene, place and value.
        """

    def padded(self, label: np.ndarray, below: int, right: int) -> np.ndarray:
        """Return the label of an image that was enlarged by rows below and columns at the right."""
        return label

    def as_sample(self, label: np.ndarray) -> np.ndarray:
        """Return the label as batches hold it."""
        return label

    def check_training(self, tally: Tally) -> None:  # noqa: B027 - as above
        """Refuse training labels from which nothing can be learnt.

        Raises:
            UserError: says what they lack.
        """

    def say_lone(self, tallies: Sequence[Tally]) -> None:  # noqa: B027 - as above
        """Say which values are so far from all others that they may mark what has no label. tallies: of all splits."""

    def scaled(self, tally: Tally) -> Target:
        """Return the target with what the tally says of the training labels."""
        return self.target

    def of_images(
        self,
        target: Target,
        bands: Sequence[str],
        mean: BandNumbers,
        std: BandNumbers,
        deviation: Sequence[float],
    ) -> Target:
        """Return the target with what images say: of labels that are not the image itself, nothing.

        bands: those that are read. mean, std: how each is normalised. deviation: of each in the training pixels.
        """
        return target


class Numbers(Labels):
    """Labels that are numbers, NaN where there is none: what pixels and images have in common.

    variables: names of the numbers, in their order.
    normalize_target: `dataset` lets a model predict in units of the training labels' deviation from their mean, `none`
        in the labels' own unit.
    """

    what: ClassVar[str]
    remedy: ClassVar[str]

    def __init__(self, target: Target, normalize_target: str) -> None:
        if normalize_target not in TARGET_NORMALIZATIONS:
            raise UserError(
                f"data.normalize_target has no {normalize_target!r}. {choices(normalize_target, TARGET_NORMALIZATIONS)}"
            )
        self.target = target
        self.normalize_target = normalize_target

    def tally(self) -> NumberTally:
        """Return the empty count of a split's labels."""
        return NumberTally(self.target.names, self.what)

    def check_training(self, tally: Tally) -> None:
        """Refuse a variable that is constant where its deviation is needed."""
        assert isinstance(tally, NumberTally)
        if self.normalize_target != "dataset":
            return
        for name, mean, std in zip(self.target.names, tally.mean, tally.std, strict=True):
            if is_constant(mean, std):
                raise UserError(
                    f"The variable {name} is {mean:g} in all training labels, so it can't be normalised by its "
                    "deviation, nor learnt. Leave it out of data.variables, or split in another way (data.split, "
                    "data.seed)."
                )

    def say_lone(self, tallies: Sequence[Tally]) -> None:
        """Say which numbers are far from all others, and what to do if they mark what has no label."""
        for place, name in enumerate(self.target.names):
            every = Ends()
            for tally in tallies:
                assert isinstance(tally, NumberTally)
                every = every.merged(tally.ends[place])
            for lone in every.lone():
                log.warning(
                    "%s If it marks %s without a label, %s.",
                    lone_in_words(lone, f"the labels of {name}"),
                    self.what,
                    self.remedy.format(f"{lone.value:.7g}"),
                )

    def scaled(self, tally: Tally) -> Target:
        """Return the target with the training labels' mean and deviation, or 0 and 1."""
        assert isinstance(tally, NumberTally)
        deviation = tuple(
            0.0 if is_constant(mean, std) else std for mean, std in zip(tally.mean, tally.std, strict=True)
        )
        numbers: dict[str, Any] = {"mean": (0.0,) * len(self.target.names), "std": (1.0,) * len(self.target.names)}
        if self.normalize_target == "dataset":
            numbers = {"mean": tuple(tally.mean), "std": tuple(tally.std)}
        return replace(self.target, deviation=deviation, **numbers)
