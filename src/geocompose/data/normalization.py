"""Bands brought to mean 0 and standard deviation 1: by the same lines in training, evaluation and prediction."""

from collections.abc import Callable, Sequence

import numpy as np

from geocompose.data.given_numbers import BandNumbers
from geocompose.data.planes import Planes


class Normalization:
    """(value - mean) / std, band by band.

    mean, std: one number per band, or for each band one per frame, in the unit that the model reads.
    """

    def __init__(self, mean: BandNumbers, std: BandNumbers) -> None:
        self._mean = np.asarray(mean, dtype=np.float32)
        # A multiplication is several times as fast as a division.
        self._scale = 1 / np.asarray(std, dtype=np.float32)

    def __call__(self, image: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return an image (bands, [frames,] height, width) normalised, float32, and 0 (the mean) where not `valid`."""
        mean, scale = (beside(numbers, image.ndim) for numbers in (self._mean, self._scale))
        with np.errstate(over="ignore", invalid="ignore"):  # nodata may be any number
            normalized: np.ndarray = image - mean
            normalized *= scale
        normalized[..., ~valid] = 0
        return normalized

    def write(self, planes: Planes, image: np.ndarray, lay: Callable[[np.ndarray], np.ndarray]) -> None:
        """Write what `__call__` would return of the planes' image into `image`, without an array between.

        image: float32 (bands, [frames,] side, side). lay: turns or mirrors a plane.

        Raises:
            UserError: values can't be read.
        """
        missing = None if planes.valid.all() else lay(~planes.valid)
        of_planes = image.reshape(-1, *image.shape[-2:])
        # One plane after the other: it stays in the processor's cache from the first of these steps to the last.
        for place, values in enumerate(of_planes):
            # Frames lie behind each other within a band, as the numbers do where each frame has its own.
            at = place if self._mean.ndim > 1 else planes.band_of(place)
            with np.errstate(over="ignore", invalid="ignore"):  # nodata may be any number
                np.copyto(values, lay(planes.values(place)), casting="unsafe")
                values -= self._mean.flat[at]
                values *= self._scale.flat[at]
            if missing is not None:
                np.copyto(values, 0, where=missing)


def beside(numbers: np.ndarray, ndim: int) -> np.ndarray:
    """Return numbers per band, or per band and frame, in the shape of an image of `ndim` dimensions, bands first."""
    return numbers.reshape(*numbers.shape, *[1] * (ndim - numbers.ndim))


def without_frames(image: np.ndarray, masked: Sequence[int]) -> np.ndarray:
    """Return a normalised image (bands, frames, height, width) in which some frames are NaN: models pass over them."""
    if masked:
        image[:, list(masked)] = np.nan
    return image
