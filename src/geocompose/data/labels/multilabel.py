"""Any of the classes for each image."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from geocompose.data.labels.base import Labels
from geocompose.data.labels.tally import MultilabelTally
from geocompose.data.loading import check_classes
from geocompose.imagery.samples import Target

UNKNOWN = -1


class MultilabelLabels(Labels):
    """For each class 1 (has it), 0 (does not) or -1 (unknown), int64 (classes).

    class_names: the classes, in the label's order.

    Raises:
        UserError: see `geocompose.data.loading.check_classes`.
    """

    key: ClassVar[Literal["mask", "label"]] = "label"

    def __init__(self, class_names: Sequence[str]) -> None:
        check_classes(class_names, UNKNOWN)
        self.target = Target("multilabel", tuple(class_names), UNKNOWN)

    def tally(self) -> MultilabelTally:
        """Return the empty count of images that have each class."""
        return MultilabelTally(self.target.names)

    def without(self, label: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the label, -1 for all classes where no pixel of the image is valid."""
        return label if valid.any() else np.full_like(label, UNKNOWN)
