"""Images that are far from what a model was trained on: by the means of their bands, and what they look like."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from geocompose.errors import counted
from geocompose.imagery.units import DN_SCALE, per_reflectance

log = logging.getLogger("geocompose")

# At most 1/5^2 = 4 % of the training's pixels are as many deviations from their mean, whatever their distribution
# (Chebyshev): where the mean of a whole image is, the model has hardly seen a pixel.
FAR = 5.0
_ABOUT = 5.0  # a factor of 10000 is told where the means of all bands differ by that within this factor
_LEAST_PIXELS = 4096  # of an image of which the darkest pixel says something
_ADDED = 1000.0  # by Sentinel-2's processing baseline 04.00, of reflectance x 10000


@dataclass(frozen=True)
class Trained:
    """What a model's training data was like: mean, deviation and least value of each band, as they were read.

    least: None in earlier records.
    """

    mean: np.ndarray
    std: np.ndarray
    least: np.ndarray | None = None

    @classmethod
    def of_record(cls, data: Mapping[str, Any]) -> "Trained | None":
        """Return what a run's record says of its data; None where it says nothing of the training's values."""
        found, normalization = data.get("statistics"), data.get("normalization") or {}
        if found is not None:
            return cls(*(np.asarray(found[key], np.float64) for key in ("mean", "std", "least")))
        if normalization.get("source") != "dataset":
            return None
        return cls(*(np.asarray(normalization[key], np.float64) for key in ("mean", "std")))


class Seen(NamedTuple):
    """The valid values of an image, in the unit that the model reads: mean and least of each band, and their number."""

    file: str
    mean: np.ndarray
    least: np.ndarray
    number: int


def tell_far(
    bands: Sequence[str], units: Sequence[str | None], trained: Trained, images: Sequence[Seen], *, group: str
) -> None:
    """Say which images are far from the training data, a line per kind: how many, the farthest, and its looks.

    units: in which the model reads each band; None where that is not known. group: where a user says what images hold.
    """
    kinds: dict[str, list[tuple[float, int, Seen]]] = {}
    std = np.where(trained.std > 0, trained.std, np.inf)
    for image in images:
        if not image.number:
            continue
        away = np.abs(image.mean - trained.mean) / std
        looks = _looks(units, trained, image)
        if looks or away.max() > FAR:
            kinds.setdefault(looks, []).append((float(away.max()), int(away.argmax()), image))
    for looks, found in kinds.items():
        away_most, band, image = max(found, key=lambda one: one[0])
        others = f" and {counted(len(found) - 1, 'further image')}" if len(found) > 1 else ""
        log.warning(
            "%s%s: far from what the model was trained on. The mean of %s is %.4g, %.3g deviations from the training's "
            "%.4g +- %.4g.%s",
            *(image.file, others, bands[band], image.mean[band], away_most, trained.mean[band], trained.std[band]),
            f" {looks.format(group)}" if looks else "",
        )


def _looks(units: Sequence[str | None], trained: Trained, image: Seen) -> str:
    """Return what an image looks like of which the values are stated wrongly; nothing where it looks like none."""
    if any(unit not in ("reflectance", "reflectance_1e4", "dn", None) for unit in units):
        return ""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = image.mean / trained.mean
    for factor, words in ((DN_SCALE, "10000 times"), (1 / DN_SCALE, "a 10000th of")):
        if np.all(ratio > factor / _ABOUT) and np.all(ratio < factor * _ABOUT):
            return f"All bands are about {words} the training's: is {{0}}.unit what the file holds?"
    if trained.least is None or image.number < _LEAST_PIXELS:
        return ""
    added = np.array([_ADDED * (per_reflectance(unit) or DN_SCALE) / DN_SCALE for unit in units])
    higher = image.mean - trained.mean
    if np.all(image.least > 0.9 * added) and np.all(trained.least < 0.5 * added) and np.all(higher > 0.3 * added):
        return (
            f"No value is below {image.least.min():.4g}, as if 1000 had been added that {{0}}.offset doesn't take off."
        )
    if np.all(image.least < -0.3 * added) and np.all(trained.least > -0.3 * added) and np.all(higher < -0.3 * added):
        return "All bands have values far below 0, as if {0}.offset took off what was never added."
    return ""
