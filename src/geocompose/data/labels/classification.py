"""A class for each image."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from geocompose.data.labels.base import Labels
from geocompose.data.labels.tally import ClassTally
from geocompose.data.loading import check_classes
from geocompose.imagery.samples import Target

UNKNOWN = -1


class ClassificationLabels(Labels):
    """A class, int64 (), -1 where it is unknown.

    class_names: the label is a place in this list.

    Raises:
        UserError: see `geocompose.data.loading.check_classes`.
    """

    key: ClassVar[Literal["mask", "label"]] = "label"

    def __init__(self, class_names: Sequence[str]) -> None:
        check_classes(class_names, UNKNOWN)
        self.target = Target("classification", tuple(class_names), UNKNOWN)

    def tally(self) -> ClassTally:
        """Return the empty count of images per class."""
        return ClassTally(self.target.names, UNKNOWN, "images")

    def without(self, label: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the class, -1 where no pixel of the image is valid."""
        return label if valid.any() else np.full_like(label, UNKNOWN)
