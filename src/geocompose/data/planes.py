"""Pixels of a window as they are stored, plane by plane: they become a model's numbers in one pass over each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from geocompose.imagery.units import Conversion


class Planes(NamedTuple):
    """The pixels of a window.

    stored: for each band and frame, the frames of the first band first, its values (height, width) in the type of the
        file. They may be shared: nothing writes into them.
    conversions: for each of them what is done to its values.
    valid: bool (height, width), where no band is nodata.
    num_frames: time steps; None where an image has no axis of them.
    """

    stored: Sequence[np.ndarray]
    conversions: Sequence[Conversion]
    valid: np.ndarray
    num_frames: int | None = None

    def values(self, place: int) -> np.ndarray:
        """Return the values of a plane after its conversion: float32, or as they are stored where none changes them.

        Raises:
            UserError: they can't be read.
        """
        conversion = self.conversions[place]
        return conversion.apply(self.stored[place]) if conversion.changes else self.stored[place]

    def band_of(self, place: int) -> int:
        """Return which band a plane belongs to, counted from 0."""
        return place // (self.num_frames or 1)

    def image(self) -> np.ndarray:
        """Return the values after their conversion, float32 (bands, [frames,] height, width).

        Raises:
            UserError: they can't be read.
        """
        image = np.empty((len(self.stored), *self.valid.shape), dtype=np.float32)
        with np.errstate(over="ignore"):  # a double may be too large; where it is not nodata, it is refused as infinity
            for place, plane in enumerate(image):
                plane[...] = self.values(place)
        return image if self.num_frames is None else image.reshape(-1, self.num_frames, *self.valid.shape)
