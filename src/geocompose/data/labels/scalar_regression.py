"""Numbers for each image."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from geocompose.data.labels.base import Numbers
from geocompose.data.loading import check_variables
from geocompose.imagery.samples import Target


class ScalarRegressionLabels(Numbers):
    """Numbers, float32 (variables), in their physical unit, NaN where unknown.

    Batches hold a single variable as (B). See `Numbers` for the arguments.

    Raises:
        UserError: see `geocompose.data.loading.check_variables`; an unknown normalisation.
    """

    key: ClassVar[Literal["mask", "label"]] = "label"
    what = "images"
    remedy = "leave its cell in data.table empty"

    def __init__(self, variables: Sequence[str], normalize_target: str, units: Sequence[str] | None = None) -> None:
        check_variables(variables, units)
        in_units = None if units is None else tuple(units)
        super().__init__(Target("scalar_regression", tuple(variables), units=in_units), normalize_target)

    def without(self, label: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the numbers, NaN where no pixel of the image is valid."""
        return label if valid.any() else np.full_like(label, np.nan)

    def as_sample(self, label: np.ndarray) -> np.ndarray:
        """Return a single number () for one variable, else (variables)."""
        return label[0] if len(self.target.names) == 1 else label
