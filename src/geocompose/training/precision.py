"""Models in half precision whose dates and places stay exact."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.plugins.precision import HalfPrecision

from geocompose.imagery.coordinates import coordinates_of


class HalfPrecisionModel(HalfPrecision):
    """Lightning's `bf16-true` and `16-true` without rounding coordinates: bfloat16 would make 2016 of the year 2018."""

    def convert_input(self, data: Any) -> Any:
        """Return a batch as the model takes it: numbers in half precision, but for dates and places."""
        exact = coordinates_of(data) if isinstance(data, Mapping) else {}
        converted = super().convert_input(data)
        return {**converted, **exact} if exact else converted
