"""TerraTorch's generic data modules as options of our group data: names, bands, frames, labels, what has no value."""

import math

from geocompose.errors import UserError
from geocompose.migration.bands import band_list, named, unnamed
from geocompose.migration.data_files import translate_files
from geocompose.migration.ledger import Place
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.statistics import translate_statistics
from geocompose.migration.transforms import translate_transforms
from geocompose.migration.translation import DATA, MODEL, MODEL_ARGS, Translation

OPTION = {
    "segmentation": "geotiff",
    "regression": "geotiff_regression",
    "classification": "geotiff_classification",
    "multilabel": "geotiff_multilabel",
    "scalar_regression": "geotiff_scalar_regression",
    "reconstruction": "geotiff_reconstruction",
}
GENERIC = {
    "GenericNonGeoSegmentationDataModule": ("segmentation", "reconstruction"),
    "GenericNonGeoPixelwiseRegressionDataModule": ("regression", "reconstruction"),
    "GenericNonGeoClassificationDataModule": ("classification",),
}
_OF_NUMBERS = ("regression", "scalar_regression")
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
    "return_georeference": "maps have the georeference of their image",
}


def is_generic(to: Translation) -> bool:
    """Return whether the data module is one of the generic ones, of the task's kind of labels."""
    return to.kind in GENERIC.get(str(class_name(to.ledger.get(("data",)))), ())


def translate_data(to: Translation) -> None:
    """Translate data module, class names and what images are normalised with.

    Raises:
        UserError: bands or statistics contradict each other, or there is no number of classes.
    """
    name = class_name(to.ledger.get(("data",)))
    keys = to.choose("data", OPTION[to.kind])
    if to.kind != "reconstruction":
        _names(to)
        to.set("data.class_names" if "class_names" in keys else "data.variables", to.names)
    if "normalize_target" in keys:
        to.set("data.normalize_target", "none")  # TerraTorch's models predict in the labels' unit
    _bands(to)
    _frames(to)
    translate_statistics(to, generic=is_generic(to))
    _missing(to)
    if not is_generic(to):
        if name is not None:
            to.ledger.lost(("data",), f"{name} has no counterpart; data={OPTION[to.kind]} asks for your files instead")
        return
    to.ledger.carried(("data", "class_path"), f"data={OPTION[to.kind]}")
    for key in ("batch_size", "num_workers"):
        if (value := to.ledger.get((*DATA, key))) is not None:
            to.carry((*DATA, key), f"data.{key}", value)
    translate_transforms(to)
    translate_files(to)
    _shifted_labels(to)
    for key, why in _NOT_NEEDED.items():
        to.ledger.needless((*DATA, key), why)


def _names(to: Translation) -> None:
    """Name the model's outputs: its number of them counts, and what else is said of them is told."""
    ledger = to.ledger
    of_classes = to.kind not in _OF_NUMBERS
    key, stem = ("data.class_names", "class") if of_classes else ("data.variables", "variable")
    count, place = to.num_outputs
    if not of_classes:
        place = (*MODEL_ARGS, "num_outputs")
        count = ledger.get(place) or 1
    given: list[str] = [str(name) for name in ledger.get((*MODEL, "class_names")) or []]
    of_data = ledger.get((*DATA, "num_classes"))
    if count is None:
        count = of_data or len(given) or None
        ledger.remark(f"model_args have no num_classes; the model has as many outputs as there are classes: {count}.")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UserError("The TerraTorch configuration has no model_args.num_classes; the model can't be built.")
    if place is not None:
        ledger.carried(place, f"length of {key}")
    to.names = [*given[:count], *(f"{stem}_{index}" for index in range(len(given), count))]
    if given and len(given) != count:
        ledger.lost(
            (*MODEL, "class_names"),
            f"it names {len(given)}, and the model has {count} outputs ({key}): of the names, "
            + (f"{count} are taken" if len(given) > count else f"{count - len(given)} are made up"),
        )
    ledger.carried((*MODEL, "class_names"), key)
    if of_classes and of_data is not None and of_data != count:
        ledger.lost((*DATA, "num_classes"), f"it is {of_data}, and the model has {count} outputs, which count ({key})")
    ledger.carried((*DATA, "num_classes"), f"length of {key}")


def _bands(to: Translation) -> None:
    """Translate the names of the files' bands, and which of them the model reads."""
    ledger = to.ledger
    there, read = (ledger.get((*DATA, key)) for key in ("dataset_bands", "output_bands"))
    of_files, of_read = band_list(there), band_list(read)
    found = None if of_files is None else named(of_files, of_read if read is not None else None, to.model_bands)
    note = ""
    if found is not None:
        if any(name.startswith("band_") for name in found[0] if name not in (of_files or [])):
            note = "bands without a name are called by their place in the file, from band_1"
        to.carry((*DATA, "dataset_bands"), "data.band_names", found[0], note)
        to.set("data.bands", found[1])
        to.bands = found[1]
    elif there is None and of_read is not None and (names := _texts(of_read)) is not None:
        to.set("data.bands", names)
        to.bands = names
    elif to.model_bands is not None:
        _bands_of_model(to)
    if to.bands is not None and "bands" in to.values.get("data", {}):
        ledger.carried((*DATA, "output_bands"), "data.bands")
    for key, value in (("dataset_bands", there), ("output_bands", read)):
        if value is not None:
            ledger.lost((*DATA, key), "not a list of bands of dataset_bands; write data.band_names and data.bands")
    if to.model_bands_place is not None:
        # In TerraTorch the names of the backbone only choose weights; the data's order is what the model sees.
        ledger.carried(to.model_bands_place, "data.bands, which the backbone is told")


def _bands_of_model(to: Translation) -> None:
    """Take the bands that the model's arguments name, where the data names none."""
    assert to.model_bands is not None
    names = _texts(to.model_bands)
    if names is not None:
        to.set("backbone.bands", names)
        to.bands = names
        if to.model_bands_place is not None:
            to.ledger.carried(to.model_bands_place, "backbone.bands")
        return
    to.bands = [band if isinstance(band, str) else unnamed(place) for place, band in enumerate(to.model_bands)]
    if to.model_bands_place is not None:
        to.ledger.lost(to.model_bands_place, "places of bands say nothing without the data's; name them in data.bands")


def _texts(bands: list[str | int]) -> list[str] | None:
    names = [band for band in bands if isinstance(band, str)]
    return names if len(names) == len(bands) else None


def _frames(to: Translation) -> None:
    """Translate the time steps that lie behind each other in a file."""
    ledger, place = to.ledger, (*DATA, "expand_temporal_dimension")
    expands = ledger.get(place)
    if expands is not True:
        if expands is not None:
            ledger.needless(place, "images have one frame")
        if is_generic(to) and (to.model_frames or 1) > 1:
            ledger.remark(f"The model takes {to.model_frames} frames, and the data has one: state data.num_frames.")
        return
    if to.model_frames is None:
        ledger.lost(place, "no setting says how many frames a file has; write data.num_frames")
    else:
        to.carry(place, "data.num_frames", to.model_frames, "all bands of the first, then of the second, ...")


def _shifted_labels(to: Translation) -> None:
    """Translate labels from 1 on, of which 0 is none."""
    ledger, place = to.ledger, (*DATA, "reduce_zero_label")
    if ledger.get(place) is not True:
        ledger.needless(place, "labels count from 0")
    elif to.kind == "segmentation":
        to.set("data.label_values", list(range(1, len(to.names) + 1)))
        to.set("data.label_nodata", 0.0)
        ledger.carried(place, "data.label_values from 1, data.label_nodata=0")
    else:
        ledger.lost(place, f"labels of task={to.kind} are not shifted")


def _missing(to: Translation) -> None:
    """Translate which pixels have no value or no label."""
    ledger = to.ledger
    if ledger.get((*DATA, "no_data_replace")) is not None:
        note = "such pixels become the band's mean, whatever the number, and leave loss and metrics"
        to.carry((*DATA, "no_data_replace"), "data.nodata", math.nan, note)
    ignored, place = ledger.get((*MODEL, "ignore_index")), (*MODEL, "ignore_index")
    replaced, place_of_replaced = ledger.get((*DATA, "no_label_replace")), (*DATA, "no_label_replace")
    if to.kind == "segmentation":
        if ignored is not None:
            to.carry(place, "data.ignore_index", ignored)
        _unlabelled(to, place_of_replaced, replaced, ignored, "a label that is NaN or its file's nodata has no label",
                    "pixels without label are data.ignore_index, never a class")  # fmt: skip
    elif to.kind == "regression":
        if ignored is not None:
            to.carry(place, "data.label_nodata", float(ignored))
        _unlabelled(to, place_of_replaced, replaced, ignored, "NaN is not a label",
                    "NaN is not a label, and never becomes a number")  # fmt: skip
    elif to.kind == "reconstruction":
        for each in (place, place_of_replaced):
            ledger.needless(each, "images have no labels; pixels without data leave loss and metrics")
    else:
        for each in (place, place_of_replaced):
            ledger.needless(each, "images without a label are left out")


def _unlabelled(to: Translation, place: Place, value: object, ignored: object, same: str, other: str) -> None:
    if value is not None and value == ignored:
        to.ledger.needless(place, same)
    elif value is not None:
        to.ledger.lost(place, other)
