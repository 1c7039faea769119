"""TerraTorch's generic data modules as options of our group data: names, bands, normalisation, what has no value."""

import math

from geocompose.errors import UserError
from geocompose.migration.data_files import translate_files
from geocompose.migration.ledger import Place
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.transforms import translate_transforms
from geocompose.migration.translation import DATA, MODEL, MODEL_ARGS, Translation

OPTION = {
    "segmentation": "geotiff",
    "regression": "geotiff_regression",
    "classification": "geotiff_classification",
    "multilabel": "geotiff_multilabel",
    "scalar_regression": "geotiff_scalar_regression",
}
GENERIC = {
    "GenericNonGeoSegmentationDataModule": "segmentation",
    "GenericNonGeoPixelwiseRegressionDataModule": "regression",
    "GenericNonGeoClassificationDataModule": "classification",
}
_NOT_NEEDED = {
    "drop_last": "a lone last image is left out of its epoch, another one each time",
    "pin_memory": "done where there is a GPU",
    "check_stackability": "tiles have one size",
    "rgb_indices": "red, green and blue are found by name",
    "ignore_split_file_extensions": "lists may name files with or without extension",
    "allow_substring_split_file": "lists may name files by the text that * matches",
    "predict_data_root": "action=predict has action.input",
    "predict_dataset_bands": "action=predict has action.band_names",
    "predict_output_bands": "action=predict takes the model's bands",
    "embedding_input": "only for plots",
    "pca_step": "only for plots",
}


def translate_data(to: Translation) -> None:
    """Translate data module, class names and what images are normalised with.

    Raises:
        UserError: numbers of classes, bands or statistics contradict each other.
    """
    _names(to)
    name = class_name(to.ledger.get(("data",)))
    keys = to.choose("data", OPTION[to.kind])
    to.set("data.class_names" if "class_names" in keys else "data.variables", to.names)
    if "normalize_target" in keys:
        to.set("data.normalize_target", "none")  # TerraTorch's models predict in the labels' unit
    _bands(to)
    _missing(to)
    if GENERIC.get(str(name)) != to.kind:
        if name is not None:
            to.ledger.lost(("data",), f"{name} has no counterpart; data={OPTION[to.kind]} asks for your files instead")
        return
    to.ledger.carried(("data", "class_path"), f"data={OPTION[to.kind]}")
    for key in ("batch_size", "num_workers"):
        if (value := to.ledger.get((*DATA, key))) is not None:
            to.carry((*DATA, key), f"data.{key}", value)
    translate_transforms(to)
    translate_files(to)
    for key, why in _NOT_NEEDED.items():
        to.ledger.needless((*DATA, key), why)
    if to.ledger.get((*DATA, "expand_temporal_dimension")) is False:
        to.ledger.needless((*DATA, "expand_temporal_dimension"), "images have one frame")
    if to.ledger.get((*DATA, "reduce_zero_label")) is False:
        to.ledger.needless((*DATA, "reduce_zero_label"), "labels count from 0")


def _names(to: Translation) -> None:
    ledger = to.ledger
    of_classes = to.kind not in ("regression", "scalar_regression")
    place: Place = (*MODEL_ARGS, "num_classes" if of_classes else "num_outputs")
    count = ledger.get(place) or (None if of_classes else 1)
    given = ledger.get((*MODEL, "class_names"))
    if not isinstance(count, int):
        raise UserError("The TerraTorch configuration has no model_args.num_classes; the model can't be built.")
    if given is not None and len(given) != count:
        raise UserError(f"class_names names {len(given)}, but model_args.num_classes is {count}. Correct the file.")
    key = "data.class_names" if of_classes else "data.variables"
    stem = "class" if of_classes else "variable"
    to.names = [str(name) for name in given] if given else [f"{stem}_{index}" for index in range(count)]
    ledger.carried(place, f"length of {key}")
    ledger.carried((*MODEL, "class_names"), key)
    of_data = ledger.get((*DATA, "num_classes"))
    if of_classes and of_data is not None and of_data != count:
        raise UserError(f"data.num_classes is {of_data}, but model_args.num_classes is {count}. Correct the file.")
    ledger.carried((*DATA, "num_classes"), f"length of {key}")


def _bands(to: Translation) -> None:
    ledger = to.ledger
    there, read = ledger.get((*DATA, "dataset_bands")), ledger.get((*DATA, "output_bands"))
    of_model = ledger.get((*MODEL_ARGS, "backbone_bands"))
    for key, value, ours in (("dataset_bands", there, "band_names"), ("output_bands", read, "bands")):
        if value is None:
            continue
        if _are_names(value):
            to.carry((*DATA, key), f"data.{ours}", list(value))
        else:
            ledger.lost((*DATA, key), f"data.{ours} takes names, not places of bands")
    chosen = next((value for value in (read, of_model, there) if _are_names(value)), None)
    to.bands = None if chosen is None else list(chosen)
    if _are_names(read) and _are_names(of_model) and list(read) != list(of_model):
        # In TerraTorch the names of the backbone only choose weights; the data's order is what the model sees.
        to.values.get("backbone", {}).pop("bands", None)
        ledger.carried((*MODEL_ARGS, "backbone_bands"), "the model reads data.output_bands")
    _statistics(to)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def _statistics(to: Translation) -> None:
    ledger = to.ledger
    mean, std = ledger.get((*DATA, "means")), ledger.get((*DATA, "stds"))
    if mean is None or std is None:
        if GENERIC.get(str(class_name(ledger.get(("data",))))) == to.kind and to.bands is not None:
            to.set("data.normalize", "none")  # TerraTorch then takes images as they are
            to.mean, to.std = [0.0] * len(to.bands), [1.0] * len(to.bands)
        return
    if not (_are_numbers(mean) and _are_numbers(std)):
        for key in ("means", "stds"):
            ledger.lost((*DATA, key), "it names a file or a class; give the numbers, or action.mean and action.std")
        return
    count = len(to.bands) if to.bands is not None else len(mean)
    if not len(mean) == len(std) == count:
        raise UserError(
            f"There are {count} bands, but {len(mean)} means and {len(std)} stds in the TerraTorch configuration."
        )
    scale = float(ledger.get((*DATA, "constant_scale"), 1.0))
    # (x * scale - mean) / std of TerraTorch is (x - mean / scale) / (std / scale).
    to.mean, to.std = [float(value) / scale for value in mean], [float(value) / scale for value in std]
    ledger.carried((*DATA, "constant_scale"), "in the means and stds of record.json")
    if _are_published(to):
        to.set("data.normalize", "pretraining")
        note = "data.normalize=pretraining: they are the backbone's published ones"
        for key in ("means", "stds"):
            ledger.carried((*DATA, key), note)
    else:
        to.set("data.normalize", "dataset")
        for key in ("means", "stds"):
            ledger.lost(
                (*DATA, key),
                "a new run takes its training split's own (data.normalize=dataset); an imported run keeps them",
            )


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in value
    )


def _are_published(to: Translation) -> bool:
    from geocompose.catalog.prithvi import VARIANTS, published_pretraining

    variant = to.values.get("backbone", {}).get("variant")
    if variant is None or to.bands is None or to.mean is None or to.std is None:
        return False
    published = published_pretraining(VARIANTS[variant]).statistics(to.bands)
    return published is not None and all(
        math.isclose(ours, theirs, rel_tol=1e-6)
        for ours, theirs in zip([*to.mean, *to.std], [*published[0], *published[1]], strict=True)
    )


def _missing(to: Translation) -> None:
    """Translate which pixels have no value or no label."""
    ledger = to.ledger
    if ledger.get((*DATA, "no_data_replace")) is not None:
        note = "such pixels become the band's mean, whatever the number, and leave loss and metrics"
        to.carry((*DATA, "no_data_replace"), "data.nodata", math.nan, note)
    ignored, place = ledger.get((*MODEL, "ignore_index")), (*MODEL, "ignore_index")
    if to.kind == "segmentation":
        if ignored is not None:
            to.carry(place, "data.ignore_index", ignored)
        replaced = ledger.get((*DATA, "no_label_replace"))
        if replaced is not None and replaced == ignored:
            ledger.needless((*DATA, "no_label_replace"), "a label that is NaN or its file's nodata has no label")
        elif replaced is not None:
            ledger.lost((*DATA, "no_label_replace"), "pixels without label are data.ignore_index, never a class")
    elif to.kind == "regression":
        if ignored is not None:
            to.carry(place, "data.label_nodata", float(ignored))
        replaced = ledger.get((*DATA, "no_label_replace"))
        if replaced is not None and replaced == ignored:
            ledger.needless((*DATA, "no_label_replace"), "NaN is not a label")
        elif replaced is not None:
            ledger.lost((*DATA, "no_label_replace"), "NaN is not a label, and never becomes a number")
    else:
        ledger.needless(place, "images without a label are left out")
