"""Numbers for each pixel."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from geocompose.data.labels.base import Numbers
from geocompose.data.loading import check_variables
from geocompose.data.scene import Scene
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.imagery.samples import Target


class RegressionLabels(Numbers):
    """Numbers, float32 (variables, height, width), in their physical unit, NaN where there is no label.

    Batches hold a single variable as (B, height, width). See `Numbers` for the arguments.

    Raises:
        UserError: see `geocompose.data.loading.check_variables`; an unknown normalisation.
    """

    key: ClassVar[Literal["mask", "label"]] = "mask"
    what = "pixels"
    remedy = "declare it as the file holds it (data.label_nodata={})"

    def __init__(self, variables: Sequence[str], normalize_target: str, units: Sequence[str] | None = None) -> None:
        check_variables(variables, units)
        in_units = None if units is None else tuple(units)
        super().__init__(Target("regression", tuple(variables), units=in_units), normalize_target)

    def check(self, label: np.ndarray, scene: Scene, window: Window) -> None:
        """Refuse infinity."""
        wrong = np.isinf(label)
        if not wrong.any():
            return
        variable, row, column = np.argwhere(wrong)[0]
        raise UserError(
            f"The label of {scene.name} has the value {label[variable, row, column]} at row {window.row + row}, column "
            f"{window.column + column}, variable {self.target.names[variable]}. If it marks pixels without a label, "
            "set data.label_nodata to what the file holds there, or write NaN in its place."
        )

    def without(self, label: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the label with NaN where the image is not valid."""
        return label if valid.all() else np.where(valid, label, np.float32(np.nan))

    def padded(self, label: np.ndarray, below: int, right: int) -> np.ndarray:
        """Return the label with NaN in new rows and columns."""
        return np.pad(label, ((0, 0), (0, below), (0, right)), constant_values=np.nan)

    def as_sample(self, label: np.ndarray) -> np.ndarray:
        """Return (height, width) for one variable, else (variables, height, width)."""
        return label[0] if len(self.target.names) == 1 else label
