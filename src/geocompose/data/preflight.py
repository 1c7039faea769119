"""Opened data of any kind, and all of it that can be checked without torch."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

from geocompose.data import image_labelled, pixel_labelled
from geocompose.data.baselines import rules as baselines
from geocompose.data.loading import Loading
from geocompose.data.opened import Collection
from geocompose.data.statistics import scan
from geocompose.data.synthetic import scenes as landscapes
from geocompose.imagery.samples import Inputs, Target
from geocompose.imagery.units import Values

_MOST_SCANNED_BYTES = 200 * 2**20  # about two seconds of reading


# What opens the data of each `_target_`; a class hands its own arguments to the same function.
_OPENERS: Mapping[str, Callable[..., Collection]] = {
    "geocompose.data.geotiff.GeoTiffData": pixel_labelled.open_class_rasters,
    "geocompose.data.geotiff_regression.GeoTiffRegressionData": pixel_labelled.open_number_rasters,
    "geocompose.data.geotiff_classification.GeoTiffClassificationData": image_labelled.open_classified_images,
    "geocompose.data.geotiff_multilabel.GeoTiffMultilabelData": image_labelled.open_multilabel_images,
    "geocompose.data.geotiff_scalar_regression.GeoTiffScalarRegressionData": image_labelled.open_measured_images,
    "geocompose.data.synthetic_segmentation.SyntheticData": landscapes.open_class_landscapes,
    "geocompose.data.synthetic_regression.SyntheticRegressionData": landscapes.open_biomass_landscapes,
    "geocompose.data.synthetic_classification.SyntheticClassificationData": landscapes.open_dominant_classes,
    "geocompose.data.synthetic_multilabel.SyntheticMultilabelData": landscapes.open_present_classes,
    "geocompose.data.synthetic_scalar_regression.SyntheticScalarRegressionData": landscapes.open_water_shares,
}


def open_data(data: Mapping[str, Any]) -> Collection:
    """Return the collection of a resolved, plain `conf/data` option of this package.

    Raises:
        UserError: see the function that opens it.
    """
    opener = _OPENERS[data["_target_"]]
    return opener(**{name: data[name] for name in inspect.signature(opener).parameters})


class Preview(NamedTuple):
    """What a composition needs to know of data before anything is read for good.

    values: what the data states of its files' values.
    """

    inputs: Inputs
    target: Target
    values: Values = Values()


def preflight(data: Mapping[str, Any], choose: Callable[[Sequence[str]], list[str]]) -> Preview:
    """Return what can be known of data in a second or two, and raise what would be raised after torch has been loaded.

    data: the resolved, plain mapping of a `conf/data` option of this package. Rasters are opened, and all pixels
    checked where that takes no longer than a moment; where it would, `setup` checks them.
    choose: returns the bands to read, of those that there are.

    Raises:
        UserError: see `open_data` and `geocompose.data.statistics.scan`.
    """
    Loading(**{field.name: data[field.name] for field in fields(Loading)})
    values = _values(data)
    opened = open_data(data)
    baselines.check(data["baselines"], opened.labels.target, opened.band_names, opened.num_frames)
    bands = choose(opened.band_names)
    places = opened.places(bands)
    if 0 < opened.decoded_bytes(len(bands)) <= _MOST_SCANNED_BYTES:
        found = scan(opened.scenes, places, opened.regions, opened.labels, opened.tiling)
        opened.labels.check_training(found.labels["train"])
    return Preview(opened.inputs(bands), opened.labels.target, replace(values, more=opened.more_values))


def _values(data: Mapping[str, Any]) -> Values:
    if data["_target_"].startswith("geocompose.data.synthetic_segmentation"):
        return landscapes.stated(data.get("allow_mismatch"))
    return Values.of(data)
