"""Made-up landscapes as scenes, made when they are first read, and one label for a tile from its pixels' labels."""

from collections.abc import Callable
from functools import partial

import numpy as np
from affine import Affine

from geocompose.data.scene import ArrayScene
from geocompose.data.synthetic.landscape import CLASS_NAMES, make_landscape
from geocompose.imagery.bands import HLS_BANDS

PIXEL_M = 30.0
IGNORE_INDEX = -1
_CRS = "EPSG:32633"
_WEST, _NORTH = 400_000.0, 5_300_000.0
Maker = Callable[[int, int, int], tuple[np.ndarray, np.ndarray]]
Summary = Callable[[np.ndarray], np.ndarray]


def landscapes(make: Maker, summary: Summary | None, num_scenes: int, scene_px: int, seed: int) -> list[ArrayScene]:
    """Return scenes of six HLS bands; each is the same whatever their number.

    make: returns image and labels by seed, number and size. summary: turns the labels of a tile's pixels into one.
    """
    return [
        ArrayScene(
            name=f"synthetic_{seed}_{i}",
            height=scene_px,
            width=scene_px,
            band_names=list(HLS_BANDS),
            make=partial(make, seed, i, scene_px),
            crs=_CRS,
            # Side by side with a gap of one scene, so that no two scenes show the same ground.
            transform=Affine(PIXEL_M, 0.0, _WEST + 2 * i * scene_px * PIXEL_M, 0.0, -PIXEL_M, _NORTH),
            summary=summary,
        )
        for i in range(num_scenes)
    ]


def make_classes(seed: int, index: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a landscape and the class of each of its pixels."""
    return make_landscape(seed, index, size_px, IGNORE_INDEX)


def make_unlabelled(seed: int, index: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a landscape and the plane of 0 that stands for no label, float32 (1, size, size)."""
    return make_classes(seed, index, size_px)[0], np.zeros((1, size_px, size_px), dtype=np.float32)


def dominant_class(classes: np.ndarray) -> np.ndarray:
    """Return the most frequent class of labelled pixels, int64 (), the first of equals; -1 without any."""
    counts = _counts(classes)
    return np.array(counts.argmax() if counts.any() else -1, dtype=np.int64)


def present_classes(classes: np.ndarray, min_share: float) -> np.ndarray:
    """Return for each class whether it has `min_share` of the labelled pixels, int64 (4); -1 without any."""
    counts = _counts(classes)
    if not counts.any():
        return np.full(len(CLASS_NAMES), -1, dtype=np.int64)
    return (counts >= min_share * counts.sum()).astype(np.int64)


def water_share(classes: np.ndarray) -> np.ndarray:
    """Return the share of the labelled pixels that is water, float32 (1); NaN without any."""
    counts = _counts(classes)
    share = counts[CLASS_NAMES.index("water")] / counts.sum() if counts.any() else np.nan
    return np.array([share], dtype=np.float32)


def _counts(classes: np.ndarray) -> np.ndarray:
    return np.bincount(classes[classes != IGNORE_INDEX], minlength=len(CLASS_NAMES))
