"""Made-up landscapes as scenes, made when they are first read, and one label for a tile from its pixels' labels."""

from collections.abc import Callable
from functools import partial

import numpy as np
from affine import Affine

from geocompose.data.scene import ArrayScene
from geocompose.data.synthetic.kinds import IGNORE_INDEX, Maker
from geocompose.imagery.bands import HLS_BANDS

PIXEL_M = 30.0
_CRS = "EPSG:32633"
_WEST, _NORTH = 400_000.0, 5_300_000.0
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


def without_labels(make: Maker, seed: int, index: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a landscape's image and the plane of 0 that stands for no label, float32 (1, size, size)."""
    return make(seed, index, size_px)[0], np.zeros((1, size_px, size_px), dtype=np.float32)


def dominant_class(classes: np.ndarray) -> np.ndarray:
    """Return the most frequent class of labelled pixels, int64 (), the first of equals; -1 without any."""
    known = _labelled(classes)
    return np.array(np.bincount(known).argmax() if len(known) else -1, dtype=np.int64)


def present_classes(classes: np.ndarray, num_classes: int, min_share: float) -> np.ndarray:
    """Return for each class whether it has `min_share` of the labelled pixels, int64 (classes); -1 without any."""
    known = _labelled(classes)
    if not len(known):
        return np.full(num_classes, -1, dtype=np.int64)
    return (np.bincount(known, minlength=num_classes) >= min_share * len(known)).astype(np.int64)


def class_share(classes: np.ndarray, of: int) -> np.ndarray:
    """Return the share of the labelled pixels that is class `of`, float32 (1); NaN without any."""
    known = _labelled(classes)
    return np.array([(known == of).mean() if len(known) else np.nan], dtype=np.float32)


def _labelled(classes: np.ndarray) -> np.ndarray:
    return classes[classes != IGNORE_INDEX]
