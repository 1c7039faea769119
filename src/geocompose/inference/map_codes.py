"""Which number stands for a class in a written map: its place among the classes, or its value in the labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from geocompose.errors import UserError
from geocompose.inference.content import Content

# Types of a map with the number for "no data" in each, the smallest first.
_TYPES = (("uint8", 255), ("uint16", 65_535), ("int32", -(2**31)))


@dataclass(frozen=True)
class MapCodes:
    """The numbers of the classes in a map.

    values: for each class its values in the training labels, as data.label_values gave them; None where they are 0, 1,
        2, ... written: whether the map holds each class's first value rather than its place.
    """

    values: tuple[tuple[int, ...], ...] | None = None
    written: bool = False

    def numbers(self, num_classes: int) -> np.ndarray:
        """Return for each class the number that a map holds, int64."""
        if self.written and self.values is not None:
            return np.array([several[0] for several in self.values], np.int64)
        return np.arange(num_classes)

    def storage(self, num_classes: int) -> tuple[str, int]:
        """Return the type of a map, and the number that means no data in it: none of the classes' own.

        Raises:
            UserError: no type holds the numbers.
        """
        numbers = self.numbers(num_classes)
        for kind, nodata in _TYPES:
            limits = np.iinfo(kind)
            if limits.min <= numbers.min() and numbers.max() <= limits.max and nodata not in numbers:
                return kind, nodata
        raise UserError(
            f"action.label_values=true can't write a map with the numbers {numbers.min()} to {numbers.max()}: a "
            "GeoTIFF of classes holds those of 32 bits. With false, the map holds places from 0."
        )


def map_codes(data: Mapping[str, Any], content: Content, *, written: bool) -> MapCodes:
    """Return the numbers for a map of a run with this data's configuration.

    Raises:
        UserError: they shall be written, but the run has none, or the map holds no classes.
    """
    given = data.get("label_values")
    if written and content != "classes":
        raise UserError(f"action.label_values=true is for a map of classes; this one holds {content}. Leave it out.")
    if given is None or content == "values":
        if written:
            raise UserError(
                "action.label_values=true writes the values that data.label_values gave in training, which is null in "
                "this run: its labels and its maps hold 0, 1, 2, ... alike. Leave it out."
            )
        return MapCodes()
    entries = [entry if isinstance(entry, list | tuple) else [entry] for entry in given]
    return MapCodes(tuple(tuple(entry) for entry in entries), written)
