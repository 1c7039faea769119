"""Scores without a network, on the same split and pixels: what a model has to beat."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from geocompose import scores
from geocompose.bands import canonical
from geocompose.errors import UserError, choices

if TYPE_CHECKING:
    from geocompose.data.module import SceneData

BASELINES = ("logistic", "mndwi", "ndwi")
MAX_PIXELS = 500_000
# The second band of (GREEN - band) / (GREEN + band), first choice first. NDWI (McFeeters 1996) on Sentinel-2 takes the
# broad near infrared B8, at the green band's resolution; harmonised data without it has the narrow one. MNDWI: Xu 2006.
_INDEX_BANDS = {"mndwi": ("SWIR_1",), "ndwi": ("NIR_BROAD", "NIR_NARROW")}


def check(names: Sequence[str], class_names: Sequence[str], band_names: Sequence[str]) -> None:
    """Refuse a baseline that does not exist or that this data has no classes or bands for.

    Raises:
        UserError: names the baseline and what it needs.
    """
    for name in names:
        if name not in BASELINES:
            raise UserError(f"data.baselines has no {name!r}. {choices(name, BASELINES)}")
        if name in _INDEX_BANDS:
            _water(name, class_names)
            _index_bands(name, band_names)


def run_baselines(data: "SceneData", names: Sequence[str], max_pixels: int = MAX_PIXELS) -> list[dict[str, Any]]:
    """Return for each baseline its `name`, a `detail` in words and its test `metrics` (`geocompose.scores`).

    data: after `setup`. Each is fitted to its training pixels, `max_pixels` of them drawn where there are more, and
    scored by one confusion matrix over all labelled test pixels.
    names: `logistic`, per-pixel logistic regression (C = 1) on the selected bands, standardised; `mndwi` and `ndwi`, a
    water index above the threshold with the highest mIoU on the training pixels, of all thresholds there are.

    Raises:
        UserError: see `check`; also training pixels of one class only.
    """
    check(names, data.class_names, data.band_names)
    return [_logistic(data, max_pixels) if name == "logistic" else _index(data, name, max_pixels) for name in names]


def _logistic(data: "SceneData", max_pixels: int) -> dict[str, Any]:
    # Imported where it is used: it takes a second, and most actions need no baseline.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values, classes = data.pixels("train", max_pixels)
    if len(np.unique(classes)) < 2:
        only = data.class_names[classes[0]]
        raise UserError(
            f"All labelled training pixels are {only!r}, so that the baseline logistic has nothing to tell apart. "
            "Split in another way (data.split, data.seed), or set data.baselines=[]."
        )
    # In float64 and to this tolerance the result does not depend on the number of threads.
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000, tol=1e-6))
    model.fit(values.astype(np.float64), classes)
    matrix = np.zeros((data.num_classes, data.num_classes), dtype=np.int64)
    for block, truth in data.pixel_blocks("test"):
        if len(truth):
            matrix += scores.confusion_matrix(truth, model.predict(block.astype(np.float64)), data.num_classes)
    detail = f"per-pixel logistic regression on {len(data.bands)} bands, fitted to {len(classes)} training pixels"
    return {"name": "logistic", "detail": detail, "metrics": scores.from_confusion(matrix, data.class_names)}


def _index(data: "SceneData", name: str, max_pixels: int) -> dict[str, Any]:
    water = _water(name, data.class_names)
    bands = _index_bands(name, data.band_names)
    values, classes = data.pixels("train", max_pixels, bands=bands)
    threshold = _best_threshold(_normalized_difference(values), classes == water)
    matrix = np.zeros((2, 2), dtype=np.int64)
    for block, truth in data.pixel_blocks("test", bands):
        is_water = _normalized_difference(block) >= threshold
        matrix += scores.confusion_matrix(truth, np.where(is_water, water, 1 - water), 2)
    detail = (
        f"({bands[0]} - {bands[1]}) / ({bands[0]} + {bands[1]}) >= {threshold:.3f}, from {len(classes)} training pixels"
    )
    return {"name": name, "detail": detail, "metrics": scores.from_confusion(matrix, data.class_names)}


def _normalized_difference(values: np.ndarray) -> np.ndarray:
    """Return (first - second) / (first + second) of pixels (n, 2), 0 where the sum is 0."""
    first, second = values.T
    total = first + second
    return np.divide(first - second, total, out=np.zeros_like(total), where=total != 0)


def _best_threshold(index: np.ndarray, is_water: np.ndarray) -> float:
    """Return the value from which on pixels are called water so that their mIoU is highest.

    Every value that occurs is tried, by cumulative counts over the sorted index; of equally good ones the lowest is
    taken.
    """
    order = np.argsort(index, kind="stable")
    index, is_water = index[order], is_water[order]
    above = np.arange(len(index), 0, -1)
    hit = np.cumsum(is_water[::-1])[::-1]
    num_water = int(is_water.sum())
    num_land = len(index) - num_water
    false_water = above - hit
    water_iou = hit / (num_water + false_water)
    land_hit = num_land - false_water
    # Where all is called water and all is water, land is neither true nor predicted, and counts 0.
    land_iou = land_hit / np.maximum(num_land + num_water - hit, 1)
    first_of_value = np.concatenate([[True], index[1:] != index[:-1]])
    quality = np.where(first_of_value, water_iou + land_iou, -1)
    return float(index[int(quality.argmax())])


def _water(name: str, class_names: Sequence[str]) -> int:
    """Return the place of the class `water` of two."""
    folded = [class_name.casefold() for class_name in class_names]
    if len(folded) != 2 or folded.count("water") != 1:
        raise UserError(
            f"The baseline {name} is for data of two classes, one of them named water; here they are "
            f"{', '.join(class_names)}. Set data.baselines=[logistic]."
        )
    return folded.index("water")


def _index_bands(name: str, band_names: Sequence[str]) -> list[str]:
    """Return the data's names of the two bands of an index."""
    by_name = {canonical(band): band for band in band_names}
    second = next((by_name[band] for band in _INDEX_BANDS[name] if band in by_name), None)
    if "GREEN" not in by_name or second is None:
        needed = f"GREEN and {' or '.join(_INDEX_BANDS[name])}"
        raise UserError(
            f"The baseline {name} needs the bands {needed}; the data has {', '.join(band_names)}. "
            "Name its bands with data.band_names, or set data.baselines=[logistic]."
        )
    return [by_name["GREEN"], second]
