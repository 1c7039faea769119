"""A class for each pixel."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from geocompose.data.label_values import UnlistedValueError
from geocompose.data.labels.base import Labels
from geocompose.data.labels.tally import ClassTally
from geocompose.data.loading import check_classes
from geocompose.data.scene import Scene
from geocompose.data.window import Window
from geocompose.imagery.samples import Target


class SegmentationLabels(Labels):
    """Classes, int64 (height, width), with `ignore_index` where there is no label.

    class_names: the label's values are places in this list.

    Raises:
        UserError: see `geocompose.data.loading.check_classes`.
    """

    key: ClassVar[Literal["mask", "label"]] = "mask"

    def __init__(self, class_names: Sequence[str], ignore_index: int) -> None:
        check_classes(class_names, ignore_index)
        self.target = Target("segmentation", tuple(class_names), ignore_index)

    def tally(self) -> ClassTally:
        """Return the empty count of pixels per class."""
        return ClassTally(self.target.names, self.target.ignore_index, "pixels")

    def check(self, label: np.ndarray, scene: Scene, window: Window) -> None:
        """Refuse a value that is neither a class nor `ignore_index`."""
        names, ignore_index = self.target.names, self.target.ignore_index
        wrong = ((label < 0) | (label >= len(names))) & (label != ignore_index)
        if not wrong.any():
            return
        row, column = np.argwhere(wrong)[0]
        classes = ", ".join(f"{i} ({name})" for i, name in enumerate(names))
        raise UnlistedValueError(
            f"The label of {scene.name} has the value {label[row, column]} at row {window.row + row}, column "
            f"{window.column + column}. Allowed: {classes}, and {ignore_index} (data.ignore_index) for pixels without "
            "a label. Add the class to data.class_names, fix the label, or set data.label_nodata if this value means "
            "unlabelled."
        )

    def without(self, label: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the label with `ignore_index` where the image is not valid."""
        return label if valid.all() else np.where(valid, label, self.target.ignore_index)

    def padded(self, label: np.ndarray, below: int, right: int) -> np.ndarray:
        """Return the label with `ignore_index` in new rows and columns."""
        return np.pad(label, ((0, below), (0, right)), constant_values=self.target.ignore_index)
