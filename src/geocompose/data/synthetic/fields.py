"""Random and regular patterns on a square grid of pixels, of which landscapes are made."""

from functools import lru_cache

import numpy as np

# A set's landscapes are of the same patterns; those of larger ones would take much memory (16 times 4 MB up to here).
_KEPT_UP_TO_PX = 512


def random_field(random: np.random.Generator, size_px: int, scale_px: float, roughness: float = 3.0) -> np.ndarray:
    """Return a random field (size, size) of mean 0 and deviation 1 whose shapes are about `scale_px` wide.

    roughness: how fast detail below that scale fades; smaller numbers leave more detail.
    """
    amplitude = (_kept_amplitude if size_px <= _KEPT_UP_TO_PX else _amplitude)(size_px, scale_px, roughness)
    # Made twice as large and cropped, because a Fourier series repeats itself at the opposite edge.
    spectrum = np.fft.rfft2(random.standard_normal((2 * size_px, 2 * size_px)))
    spectrum *= amplitude
    columns = np.fft.ifft(spectrum, axis=0)[:size_px]
    field = np.fft.irfft(columns, 2 * size_px, axis=1)[:, :size_px]
    return (field - field.mean()) / field.std()


def _amplitude(size_px: int, scale_px: float, roughness: float) -> np.ndarray:
    """Return how strong each frequency of a field is (2 size, size + 1)."""
    frequency = np.hypot(np.fft.fftfreq(2 * size_px)[:, None], np.fft.rfftfreq(2 * size_px)[None])
    return np.asarray((1 + (frequency * scale_px * 2) ** 2) ** -(0.5 + roughness))


_kept_amplitude = lru_cache(maxsize=16)(_amplitude)


def evened(field: np.ndarray) -> np.ndarray:
    """Return a field of mean 0 and deviation 1 as numbers from 0 to 1, each about equally frequent.

    A logistic curve that differs from the normal distribution's by less than 0.01.
    """
    return np.asarray(1 / (1 + np.exp(-1.702 * field)))


def stripes(phase: np.ndarray) -> np.ndarray:
    """Return numbers from 0 to 1, each equally frequent: 0 in the middle and 1 at the ends of each unit of `phase`."""
    return np.asarray(np.abs(2 * (phase - np.floor(phase)) - 1))


def smooth(mask: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return `mask` as numbers, blurred by a Gaussian of `sigma_px`."""
    reach = int(np.ceil(3 * sigma_px))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(mask.astype(np.float64), reach, mode="edge")
    size = mask.shape[0]
    rows = sum(weight * padded[i : i + size] for i, weight in enumerate(kernel))
    return np.asarray(sum(weight * rows[:, i : i + size] for i, weight in enumerate(kernel)))
