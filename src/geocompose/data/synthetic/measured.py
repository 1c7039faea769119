"""What is written beside a made-up landscape: numbers as somebody would have measured them."""

import numpy as np

_NOISE = 0.1  # of the logarithm: no image shows it


def measured(values: np.ndarray, unknown: np.ndarray, seed: int, index: int) -> np.ndarray:
    """Return numbers of pixels with noise, float32 (1, size, size), NaN where they are unknown.

    values, unknown: (size, size). seed, index: of the landscape; its noise is always the same.
    """
    noise = np.random.default_rng([seed, index, 1]).standard_normal(values.shape)
    noisy = (values * np.exp(_NOISE * noise)).astype(np.float32)
    noisy[unknown] = np.nan
    return noisy[None]
