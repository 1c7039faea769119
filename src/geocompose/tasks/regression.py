"""Pixel-wise regression: one or more numbers per pixel."""

from typing import ClassVar

from geocompose.imagery.samples import Kind
from geocompose.tasks.of_numbers import NumberTask


class RegressionTask(NumberTask):
    """Learns from tiles: mask (B, H, W) of one variable or (B, variables, H, W) of more, in the physical unit."""

    kind: ClassVar[Kind] = "regression"
