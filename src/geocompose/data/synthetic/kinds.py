"""The kinds of made-up landscapes, by what tells their classes; the values of `data.landscape`."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from geocompose.data.synthetic import context, spectral

IGNORE_INDEX = -1
Maker = Callable[[int, int, int], tuple[np.ndarray, np.ndarray]]


class LandscapeKind(NamedTuple):
    """How landscapes of a kind are made.

    class_names: in the order of the labels. share_of: the class whose share of a tile scalar regression predicts.
    make_classes: returns image, uint16 (6, size, size), and the class of each pixel, int8 (size, size), by seed, number
        and size. make_biomass: returns the same image, and t/ha, float32 (1, size, size).
    """

    class_names: tuple[str, ...]
    share_of: str
    make_classes: Maker
    make_biomass: Maker


def _context_classes(seed: int, index: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    return context.make_landscape(seed, index, size_px, IGNORE_INDEX)


def _spectral_classes(seed: int, index: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    return spectral.make_landscape(seed, index, size_px, IGNORE_INDEX)


LANDSCAPES = {
    "context": LandscapeKind(context.CLASS_NAMES, "forest", _context_classes, context.make_biomass),
    "spectral": LandscapeKind(spectral.CLASS_NAMES, "water", _spectral_classes, spectral.make_biomass),
}
