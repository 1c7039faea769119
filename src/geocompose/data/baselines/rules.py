"""Scores without a network, on the same split and samples: what a model has to beat."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from geocompose.data.baselines import images, pixels, reconstructions
from geocompose.data.baselines.counted import Counted
from geocompose.data.baselines.samples import LabelledSamples
from geocompose.data.baselines.water import INDEX_BANDS, check_index, water_index
from geocompose.errors import UserError, choices, in_one_line
from geocompose.imagery.samples import Kind, Target

log = logging.getLogger("geocompose")

BASELINES: Mapping[Kind, tuple[str, ...]] = {
    "segmentation": ("constant", "logistic", "gradient_boosting", "mndwi", "ndwi"),
    "regression": ("constant", "linear", "gradient_boosting"),
    "classification": ("constant", "logistic", "gradient_boosting"),
    "multilabel": ("constant", "logistic", "gradient_boosting"),
    "scalar_regression": ("constant", "linear", "gradient_boosting"),
    "reconstruction": ("constant",),
}
MAX_PIXELS = 500_000


def check(names: Sequence[str], target: Target, band_names: Sequence[str], num_frames: int = 1) -> None:
    """Refuse a baseline that this kind of data does not have, or has no classes or bands for.

    Raises:
        UserError: names the baseline and what it needs.
    """
    for name in names:
        if name not in BASELINES[target.kind]:
            raise UserError(
                f"data.baselines has no {name!r} for {target.kind}. {choices(name, BASELINES[target.kind])}"
            )
        if name in INDEX_BANDS:
            if num_frames > 1:
                raise UserError(
                    f"The baseline {name} is for images of one frame; these have {num_frames} (data.num_frames). Leave "
                    "it out of data.baselines."
                )
            check_index(name, target, band_names)


def run_baselines(data: LabelledSamples, names: Sequence[str], max_pixels: int = MAX_PIXELS) -> list[dict[str, Any]]:
    """Return for each baseline its `name`, a `detail` in words and its test `metrics`: see `count_baselines`."""
    return [counted.as_record(data.target) for counted in count_baselines(data, names, max_pixels)]


def count_baselines(data: LabelledSamples, names: Sequence[str], max_pixels: int = MAX_PIXELS) -> list[Counted]:
    """Return for each baseline what it says of the test split, counted tile by tile.

    data: after `setup`. Each is fitted to its training samples - where pixels have labels, to `max_pixels` of them,
    drawn where there are more - and counted once over all labelled test pixels or images.
    names: `constant`, the most frequent class (or, of several, those that most images have), or the mean; `logistic`,
    logistic regression (C = 1) on the selected bands of a pixel (in all frames), or on their means and deviations in an
    image, standardised; `linear`, linear regression on the same (ridge, alpha = 1); `gradient_boosting`, scikit-learn's
    histogram gradient boosting on the same (100 trees of 31 leaves, learning rate 0.1, at most 100,000 pixels, drawn by
    a fixed seed); `mndwi` and `ndwi`, a water index above the threshold with the highest mIoU on the training pixels,
    of all thresholds there are.

    One that can't be computed, as where all training pixels have one class, has no counts, and its `detail` says why: a
    trained model is not lost for a number beside it.

    Raises:
        UserError: see `check`.
    """
    check(names, data.target, data.band_names, data.inputs.num_frames)
    rules = pixels if data.target.pixel_wise else images
    fitted = {
        "constant": rules.constant,
        "logistic": rules.logistic,
        "linear": rules.linear,
        "gradient_boosting": rules.gradient_boosting,
    }
    if data.target.kind == "reconstruction":
        fitted["constant"] = reconstructions.constant
    results = []
    for name in names:
        try:
            result = water_index(data, name, max_pixels) if name in INDEX_BANDS else fitted[name](data, max_pixels)
        except Exception as error:  # noqa: BLE001 - whatever it is, the model's own scores stand
            reason = in_one_line(error)
            log.warning("The baseline %s could not be computed (%s); the run goes on without it.", name, reason)
            result = Counted(name, f"could not be computed: {reason}", None)
        results.append(result)
    return results
