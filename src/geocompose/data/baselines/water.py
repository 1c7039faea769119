"""Water indices with the threshold that suits the training pixels best: what two bands know of water."""

from collections.abc import Sequence

import numpy as np

from geocompose.data.baselines.counted import Counted, count_pixels
from geocompose.data.baselines.raw_values import pixels
from geocompose.data.baselines.samples import LabelledSamples
from geocompose.errors import UserError
from geocompose.imagery.bands import canonical
from geocompose.imagery.samples import Target

# The second band of (GREEN - band) / (GREEN + band), first choice first. NDWI (McFeeters 1996) on Sentinel-2 takes the
# broad near infrared B8, at the green band's resolution; harmonised data without it has the narrow one. MNDWI: Xu 2006.
INDEX_BANDS = {"mndwi": ("SWIR_1",), "ndwi": ("NIR_BROAD", "NIR_NARROW")}


def check_index(name: str, target: Target, band_names: Sequence[str]) -> None:
    """Refuse an index that this data has no classes or bands for.

    Raises:
        UserError: names the index and what it needs.
    """
    _water(name, target)
    _index_bands(name, band_names)


def water_index(data: LabelledSamples, name: str, max_pixels: int) -> Counted:
    """Count an index above its best threshold as water, of two classes."""
    water = _water(name, data.target)
    bands = _index_bands(name, data.band_names)
    values, classes = pixels(data, "train", max_pixels, bands=bands)
    threshold = best_threshold(_normalized_difference(values), classes == water)

    def predict(block: np.ndarray) -> np.ndarray:
        return np.where(_normalized_difference(block) >= threshold, water, 1 - water)

    detail = (
        f"({bands[0]} - {bands[1]}) / ({bands[0]} + {bands[1]}) >= {threshold:.3f}, from {len(classes)} training pixels"
    )
    return Counted(name, detail, count_pixels(data, predict, bands))


def _normalized_difference(values: np.ndarray) -> np.ndarray:
    """Return (first - second) / (first + second) of pixels (n, 2), 0 where the sum is 0."""
    first, second = values.T
    total = first + second
    return np.divide(first - second, total, out=np.zeros_like(total), where=total != 0)


def best_threshold(index: np.ndarray, is_water: np.ndarray) -> float:
    """Return the threshold with the highest mIoU where pixels at or above it are called water.

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


def _water(name: str, target: Target) -> int:
    """Return the place of the class `water` of two."""
    class_names = target.names
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
    second = next((by_name[band] for band in INDEX_BANDS[name] if band in by_name), None)
    if "GREEN" not in by_name or second is None:
        needed = f"GREEN and {' or '.join(INDEX_BANDS[name])}"
        raise UserError(
            f"The baseline {name} needs the bands {needed}; the data has {', '.join(band_names)}. "
            "Name its bands with data.band_names, or set data.baselines=[logistic]."
        )
    return [by_name["GREEN"], second]
