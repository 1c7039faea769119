"""Scalar regression: one or more numbers per image."""

from typing import ClassVar

from geocompose.imagery.samples import Kind
from geocompose.tasks.of_numbers import NumberTask


class ScalarRegressionTask(NumberTask):
    """Learns from images: label (B) of one variable or (B, variables) of more, in the physical unit."""

    kind: ClassVar[Kind] = "scalar_regression"
