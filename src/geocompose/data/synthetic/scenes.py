"""Opening made-up landscapes as scenes of each kind of label; made when they are first read."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from affine import Affine

from geocompose.data.labels.base import Labels
from geocompose.data.labels.classification import ClassificationLabels
from geocompose.data.labels.multilabel import MultilabelLabels
from geocompose.data.labels.regression import RegressionLabels
from geocompose.data.labels.scalar_regression import ScalarRegressionLabels
from geocompose.data.labels.segmentation import SegmentationLabels
from geocompose.data.loading import check_at_least
from geocompose.data.opened import Collection
from geocompose.data.scene import ArrayScene
from geocompose.data.split import split_by_fractions
from geocompose.data.synthetic.landscape import CLASS_NAMES, make_biomass, make_landscape
from geocompose.data.tiling import GridTiling
from geocompose.errors import UserError
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.units import Values

PIXEL_M = 30.0
IGNORE_INDEX = -1
_CRS = "EPSG:32633"
_WEST, _NORTH = 400_000.0, 5_300_000.0
_Maker = Callable[[int, int, int], tuple[np.ndarray, np.ndarray]]
_Summary = Callable[[np.ndarray], np.ndarray]


def open_class_landscapes(
    *, num_scenes: int, scene_px: int, split: Sequence[float] | None, tile_px: int, seed: int
) -> Collection:
    """Return landscapes with a class for each pixel. The arguments of these functions are those of the data classes.

    Raises:
        UserError: an argument is out of range.
    """
    labels = SegmentationLabels(CLASS_NAMES, IGNORE_INDEX)
    return _open(labels, _make_classes, None, num_scenes, scene_px, split, tile_px, seed)


def open_biomass_landscapes(
    *, num_scenes: int, scene_px: int, normalize_target: str, split: Sequence[float] | None, tile_px: int, seed: int
) -> Collection:
    """Return landscapes with the biomass of each pixel in t/ha."""
    labels = RegressionLabels(["biomass"], normalize_target)
    return _open(labels, make_biomass, None, num_scenes, scene_px, split, tile_px, seed)


def open_dominant_classes(
    *, num_scenes: int, scene_px: int, split: Sequence[float] | None, tile_px: int, seed: int
) -> Collection:
    """Return landscapes whose tiles have the class that most of their pixels have."""
    labels = ClassificationLabels(CLASS_NAMES)
    return _open(labels, _make_classes, dominant_class, num_scenes, scene_px, split, tile_px, seed)


def open_present_classes(
    *, num_scenes: int, scene_px: int, min_share: float, split: Sequence[float] | None, tile_px: int, seed: int
) -> Collection:
    """Return landscapes whose tiles have each class that at least `min_share` of their pixels has."""
    if not 0 < min_share < 1:
        raise UserError(f"data.min_share={min_share} is a share of a tile's pixels, above 0 and below 1.")
    labels, summary = MultilabelLabels(CLASS_NAMES), partial(present_classes, min_share=min_share)
    return _open(labels, _make_classes, summary, num_scenes, scene_px, split, tile_px, seed)


def open_water_shares(
    *, num_scenes: int, scene_px: int, normalize_target: str, split: Sequence[float] | None, tile_px: int, seed: int
) -> Collection:
    """Return landscapes whose tiles have the share of their pixels that is water."""
    labels = ScalarRegressionLabels(["water_share"], normalize_target)
    return _open(labels, _make_classes, water_share, num_scenes, scene_px, split, tile_px, seed)


def stated(allow_mismatch: Sequence[str] | None) -> Values:
    """Return what the landscapes' values are: as HLS has them, surface reflectance x 10000."""
    return Values("reflectance_1e4", "BOA", allow_mismatch=allow_mismatch)


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


def _make_classes(seed: int, index: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    return make_landscape(seed, index, size_px, IGNORE_INDEX)


def _open(
    labels: Labels,
    make: _Maker,
    summary: _Summary | None,
    num_scenes: int,
    scene_px: int,
    split: Sequence[float] | None,
    tile_px: int,
    seed: int,
) -> Collection:
    for key, value, least in (("num_scenes", num_scenes, 1), ("scene_px", scene_px, 32), ("seed", seed, 0)):
        check_at_least(key, value, least)
    tiling = GridTiling(tile_px)
    scenes = [
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
    return Collection(scenes, split_by_fractions(scenes, split, seed=seed), labels, tiling)
