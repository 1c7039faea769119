"""Bands brought to mean 0 and standard deviation 1: by the same lines in training, evaluation and prediction."""

from collections.abc import Sequence

import numpy as np


class Normalization:
    """(value - mean) / std, band by band.

    mean, std: one number per band, in the unit that the model reads.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self._mean = np.asarray(mean, dtype=np.float32)
        # A multiplication is several times as fast as a division.
        self._scale = 1 / np.asarray(std, dtype=np.float32)

    def __call__(self, image: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return an image (bands, [frames,] height, width) normalised, float32, and 0 (the mean) where not `valid`."""
        per_band = (-1, *[1] * (image.ndim - 1))
        with np.errstate(over="ignore", invalid="ignore"):  # nodata may be any number
            normalized: np.ndarray = image - self._mean.reshape(per_band)
            normalized *= self._scale.reshape(per_band)
        normalized[..., ~valid] = 0
        return normalized


def without_frames(image: np.ndarray, masked: Sequence[int]) -> np.ndarray:
    """Return a normalised image (bands, frames, height, width) in which some frames are NaN: models pass over them."""
    if masked:
        image[:, list(masked)] = np.nan
    return image
