"""Mean and standard deviation of more values than fit into memory."""

import numpy as np


class Moments:
    """Mean and standard deviation of blocks of values, merged block by block so that no large sums are subtracted.

    count: how many values of each band have been added. mean, std: one number per band, float64.
    """

    def __init__(self, num_bands: int) -> None:
        self.count = 0
        self.mean = np.zeros(num_bands)
        self._squares = np.zeros(num_bands)

    def add(self, values: np.ndarray) -> None:
        """Take in values (bands, n)."""
        n = values.shape[1]
        if n == 0:
            return
        mean = values.mean(1, dtype=np.float64)
        squares = np.array([np.square(band.astype(np.float64) - m).sum() for band, m in zip(values, mean, strict=True)])
        total = self.count + n
        shift = mean - self.mean
        self._squares += squares + shift**2 * (self.count * n / total)
        self.mean = self.mean + shift * (n / total)
        self.count = total

    @property
    def std(self) -> np.ndarray:
        """The standard deviation of each band (of the population)."""
        return np.sqrt(self._squares / max(self.count, 1))


def is_constant(mean: float, std: float) -> bool:
    """Return whether values with these moments are all one value.

    Sums of one value deviate by rounding; float32 values that differ at all do so by more than this.
    """
    return std <= 1e-9 * abs(mean)
