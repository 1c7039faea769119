"""TerraTorch's data modules as options of our group data: names, frames, labels, what has no value."""

import math

from geocompose.errors import UserError
from geocompose.migration.data.bands_of_data import translate_bands
from geocompose.migration.data.files import translate_files
from geocompose.migration.data.known_data import known_data, translate_known_data
from geocompose.migration.data.statistics import translate_statistics
from geocompose.migration.data.transforms import translate_transforms
from geocompose.migration.ledger import Place
from geocompose.migration.lightning_yaml import class_name
from geocompose.migration.translation import DATA, MODEL, Translation, shown

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
# Whose names folders or a table have: where the configuration has none, those count.
_NAMED_BY_FILES = {
    **dict.fromkeys(("classification", "multilabel"), "all that the files have, sorted"),
    "scalar_regression": "name the table's columns",
}
_OF_NUMBERS = ("regression", "scalar_regression")
_NOT_NEEDED = {
    "drop_last": "a lone last image is left out of its epoch, another one each time",
    "pin_memory": "done where there is a GPU",
    "check_stackability": "tiles have one size",
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
    name, known = class_name(to.ledger.get(("data",))), known_data(to)
    keys = to.choose("data", OPTION[to.kind] if known is None else known.option)
    if to.kind != "reconstruction":
        are_known = _names(to, usual=[] if known is None else keys["class_names"])
        if are_known or to.kind not in _NAMED_BY_FILES:
            to.set("data.class_names" if "class_names" in keys else "data.variables", to.names)
    if "normalize_target" in keys:
        to.set("data.normalize_target", "none")  # TerraTorch's models predict in the labels' unit
    if known is None:
        translate_bands(to)
        _frames(to)
        translate_statistics(to, generic=is_generic(to))
    else:
        translate_known_data(to, known)
    _missing(to)
    for key in ("batch_size", "num_workers"):
        value = to.ledger.get((*DATA, key))
        if _is_count(value):
            to.carry((*DATA, key), f"data.{key}", value)
        elif value is not None and not isinstance(value, dict):
            to.lose((*DATA, key), f"{shown(value)} is no whole number", f"data.{key}")
    translate_transforms(to)
    _shifted_labels(to)
    for key, why in _NOT_NEEDED.items():
        to.ledger.needless((*DATA, key), why)
    if is_generic(to):
        to.ledger.carried(("data", "class_path"), f"data={OPTION[to.kind]}")
        translate_files(to)
    elif known is None and name is not None:
        _without_counterpart(to, name)


def _without_counterpart(to: Translation, name: str) -> None:
    """Say what is lost with a data module that has none for labels of the task's kind."""
    root = to.ledger.get((*DATA, "data_root"))
    if isinstance(root, str):
        to.carry((*DATA, "data_root"), "data.root", root)
    kinds = GENERIC.get(name)
    if not kinds and to.ledger.get((*DATA, "train_transform")) is None:
        to.ledger.remark(f"data.dihedral=false, as the data has no train_transform; {name} may have some of its own.")
    why = f"is for task={' or '.join(kinds)}, not for {to.kind}" if kinds else "has no counterpart"
    to.ledger.lost(("data",), f"{name} {why}; data={OPTION[to.kind]} asks for your files instead")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _names(to: Translation, usual: list[str]) -> bool:
    """Name the model's outputs: its number of them counts, and what else is said of them is told.

    usual: what the data set calls them, where the file says nothing. Returns whether they have names, which are not
    made up.
    """
    ledger = to.ledger
    of_classes = to.kind not in _OF_NUMBERS
    key, stem = ("data.class_names", "class") if of_classes else ("data.variables", "variable")
    count, place = to.num_outputs
    if not of_classes:
        count = count or 1
    by_node = {node: ledger.get((*node, "class_names")) for node in (MODEL, DATA)}
    node = next((node for node, names in by_node.items() if names and isinstance(names, list)), None)
    given = [] if node is None else [str(name) for name in by_node[node]]
    of_data = ledger.get((*DATA, "num_classes"))
    if not given and count in (None, len(usual)):
        given = list(usual)
    if count is None:
        count = of_data or len(given) or None
        ledger.remark(f"model_args have no num_classes; the model has as many outputs as there are classes: {count}.")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UserError("The TerraTorch configuration has no model_args.num_classes; the model can't be built.")
    if place is not None:
        ledger.carried(place, f"length of {key}")
    to.names = [*given[:count], *(f"{stem}_{index}" for index in range(len(given), count))]
    if not given:
        names = f"{to.names[0]}{', ...' if count > 1 else ''}"
        instead = _NAMED_BY_FILES.get(to.kind, f"they are called {names} by their place")
        ledger.remark(f"{key}: the file has no names of them; {instead}.")
    elif len(given) != count:
        ledger.lost(
            (*MODEL, "class_names"),
            f"it names {len(given)}, and the model has {count} outputs ({key}): of the names, "
            + (f"{count} are taken" if len(given) > count else f"{count - len(given)} are made up"),
        )
    if node is not None:
        ledger.carried((*node, "class_names"), key)
        ledger.needless((*DATA, "class_names"), "the model's names count")
    if of_classes and of_data is not None and of_data != count:
        ledger.lost((*DATA, "num_classes"), f"it is {of_data}, and the model has {count} outputs, which count ({key})")
    ledger.carried((*DATA, "num_classes"), f"length of {key}")
    return bool(given)


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
        to.carry(place, "data.num_frames", to.model_frames)
    if ledger.get((*DATA, "temporal_channel_major")) is True:
        why = "files have all bands of the first frame, then of the second, ... here; write them in this order"
        ledger.lost((*DATA, "temporal_channel_major"), why)


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
    place = (*DATA, "no_data_replace")
    if ledger.get(place) is not None and not ledger.has_verdict(place):
        note = "pixels that are NaN become the band's mean, whatever no_data_replace is, and leave loss and metrics"
        to.carry(place, "data.nodata", math.nan, note)
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
