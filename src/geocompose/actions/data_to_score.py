"""The data that a recorded run is scored on: its own, or other data, prepared and checked as the run's was."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from geocompose.cli import Experiment
from geocompose.configuration.checking import check_node
from geocompose.configuration.instantiation import instantiate
from geocompose.data.declaration import DataSource
from geocompose.data.drift import Trained, tell_far
from geocompose.data.preflight import data_source
from geocompose.data.raster_source import GeoTiffSource
from geocompose.errors import UserError, counted
from geocompose.imagery.agreement import check_convertible, check_counted_alike
from geocompose.imagery.coordinates import DATA_KEYS, WORDS
from geocompose.imagery.samples import Inputs, Target
from geocompose.imagery.units import Values
from geocompose.runs import Record
from geocompose.runs.fingerprint import fingerprint

if TYPE_CHECKING:
    from geocompose.data.module import SceneData

log = logging.getLogger("geocompose")

# How the run's images came to the size of a sample; other data is prepared in the same way unless told otherwise.
_PREPARED = ("tile_px", "fit", "num_frames", "missing_frames")


class DataToScore(NamedTuple):
    """Data as it is configured, and as it is declared where it is a declaration; whether it is the run's, unchanged."""

    config: dict[str, Any]
    source: DataSource | None
    unchanged: bool


def data_to_score(
    experiment: Experiment, config: Mapping[str, Any], record: Record, changes: Mapping[str, object] | None
) -> DataToScore:
    """Return the data to score on: the run's with changes, or another one, prepared as the run's was."""
    overrides = [text.lstrip("+") for text in experiment.overrides]
    keys = [text.partition("=")[0] for text in overrides]
    if not {"data", "experiment"} & set(keys):
        for text, key in zip(overrides, keys, strict=True):
            if key.startswith("data."):
                raise UserError(
                    f"{text}: evaluate takes the run's own data. Write 'action.data={{{key.removeprefix('data.')}: "
                    f"{text.partition('=')[2]}}}' to change it, or choose other data with data=OPTION."
                )
        return _own_data(config, record, changes)
    if changes:
        raise UserError("action.data changes the run's own data, and data=OPTION chooses other data; give one of them.")
    other = dict(experiment.config["data"])
    as_trained = {**(config.get("data") or {}), "tile_px": record.data["tile_px"]}
    for key in _PREPARED:
        if key in other and key in as_trained and f"data.{key}" not in keys:
            other[key] = as_trained[key]
    if "unit" in other and other["unit"] is None and record.data.get("unit") is not None:
        other |= {key: record.data[key] for key in ("unit", "offset", "scale") if other.get(key) is None}
        log.info(
            "data.unit is null: values are assumed to be as in the run's training, %s.",
            Values.of(other).in_words(),
        )
    other = _with_class_names(other, config, record)
    source = data_source(other)
    # Of a run whose data stated no unit, nothing says what tags would lead to. Labels are unpacked by theirs.
    unknown = record.data.get("unit") is None and record.data.get("scale_tags") != "read"
    if unknown and isinstance(source, GeoTiffSource) and record.data["target"]["kind"] != "regression":
        source = source.with_tags_unread()
    return DataToScore(other, source, unchanged=False)


def open_as_trained(
    chosen: Mapping[str, Any], source: DataSource | None, recorded: Mapping[str, Any], target: Target, split: str
) -> "SceneData":
    """Return data that is set up for scoring: bands, units and normalization as in the training of a run.

    chosen, source: see `data_to_score`. recorded: what the run's record says of its data. target: the run's.

    Raises:
        UserError: the data has other labels than the run, or gives the model what it was not trained with.
    """
    data = opened_alike(chosen, source, recorded, target)
    data.setup()
    _tell_far(data, recorded, split)
    return data


def opened_alike(
    chosen: Mapping[str, Any], source: DataSource | None, recorded: Mapping[str, Any], target: Target
) -> "SceneData":
    """Return data as `open_as_trained` does, before its `setup`: no pixel is read yet.

    Raises:
        UserError: see there.
    """
    data = _data_module(chosen, source, recorded["bands"])
    data.only_scored = True
    _check_labels(target, data.target)
    _check_inputs(Inputs.from_record(recorded), data.inputs)
    _read_alike(data, recorded)
    data.set_normalization(recorded["normalization"]["mean"], recorded["normalization"]["std"])
    return data


def _own_data(config: Mapping[str, Any], record: Record, changes: Mapping[str, object] | None) -> DataToScore:
    own = {**(config.get("data") or {}), **(changes or {})}
    if "_target_" not in own:
        raise UserError(
            "This run has no data of its own, as one that was imported without them. Choose some with data=OPTION and "
            "its arguments."
        )
    root = own.get("root")
    if root is not None and not Path(str(root)).expanduser().is_dir():
        raise UserError(
            f"The run's own data is not here: data.root={root} is not an existing folder. Write "
            "'action.data={root: DIR}' to say where it lies now, or choose other data with data=OPTION."
        )
    own = _with_class_names(check_node("action.data", own), config, record)
    source = _with_tags_as_trained(data_source(own), record)
    unchanged = not changes
    if root is not None and source is not None:
        files = _own_files(source)
        recorded = record.data.get("fingerprint")  # an imported run has none
        if recorded is not None and fingerprint(files, Path(str(root)).expanduser()) != recorded:
            log.warning("The files in %s are not those of the run's training; they are scored all the same.", root)
            unchanged = False
    return DataToScore(own, source, unchanged)


def _with_tags_as_trained(source: DataSource | None, record: Record) -> DataSource | None:
    """Return the data with its files' scale tags left unread if the run is of before they were read."""
    if "scale_tags" in record.data or not isinstance(source, GeoTiffSource):
        return source
    return source.with_tags_unread()


def _own_files(source: DataSource) -> list[Path]:
    """Return the files of a run's own data.

    Raises:
        UserError: they are not found, as those of a run that was imported without its data.
    """
    try:
        return source.input_files
    except UserError as error:
        raise UserError(
            f"The run's own data is not found. {error} Write 'action.data={{root: DIR}}' to say where it lies, and "
            "other keys of data that differ there, or choose other data with data=OPTION."
        ) from error


def _with_class_names(data: dict[str, Any], config: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """Return the run's kind of data with the run's classes where it would take those that happen to be there."""
    own = config.get("data") or {}
    if data.get("class_names", ()) is None and data["_target_"] == own.get("_target_"):
        return {**data, "class_names": list(record.data["target"]["names"])}
    return data


def _data_module(chosen: Mapping[str, Any], source: DataSource | None, bands: list[str]) -> "SceneData":
    """Return the data with the bands that the run's model reads."""
    from geocompose.from_config import opened_data

    if source is not None:
        return opened_data(source, bands)
    own: SceneData = instantiate(chosen)
    own.use_bands(bands)
    return own


def _check_labels(trained: Target, given: Target) -> None:
    """Refuse data whose labels are not what the run predicts."""
    if given.kind != trained.kind:
        raise UserError(
            f"The run is one of the task {trained.kind}; this data has labels for the task {given.kind}. Choose data "
            f"with labels for {trained.kind}."
        )
    if given.names != trained.names:
        what, key = ("classes", "class_names") if trained.of_classes else ("variables", "variables")
        raise UserError(
            f"The run knows the {what} {', '.join(trained.names)}; this data has {', '.join(given.names)}. They must "
            f"be equal and in the same order: write data.{key}=[{','.join(trained.names)}] if that is what the labels "
            "mean."
        )


def _read_alike(given: "SceneData", recorded: Mapping[str, Any]) -> None:
    """Have data read in the unit that the run's model reads, as far as that and the data's own are stated.

    Raises:
        UserError: no rule leads from one to the other.
    """
    units = recorded.get("read_as") or [None] * len(given.bands)
    check_convertible(given.values, given.bands, units)
    check_counted_alike(given.values, recorded)
    given.read_as(units)
    levels = recorded.get("level"), given.values.level
    if None not in levels and levels[0] != levels[1]:
        log.warning("The run was trained on data of the level %s; this data is %s.", *levels)


def _tell_far(given: "SceneData", recorded: Mapping[str, Any], split: str) -> None:
    """Say which scenes of a split are far from what the run was trained on."""
    trained = Trained.of_record(recorded)
    if trained is not None:
        scenes = [region.scene for region in given.regions[split]]
        images = given.statistics.plausibility.seen(scenes)
        tell_far(given.bands, given.units, trained, images, group="data")


def _check_inputs(trained: Inputs, given: Inputs) -> None:
    """Refuse data that gives the model what it was not trained with; tell what it was trained with and does not get."""
    if given.num_frames != trained.num_frames:
        raise UserError(
            f"The run was trained with {counted(trained.num_frames, 'frame')} per image; this data has "
            f"{given.num_frames} (data.num_frames). Write data.num_frames={trained.num_frames} if its images have them."
        )
    for name in given.coordinates:
        if name not in trained.coordinates:
            raise UserError(
                f"The run was trained without {WORDS[name]}; this data gives them ({DATA_KEYS[name]}). Write "
                f"{DATA_KEYS[name]}=null."
            )
    for name in trained.coordinates:
        if name not in given.coordinates:
            log.warning(
                "The run was trained with %s, but this data gives none (%s), so their encoding is off.",
                WORDS[name],
                DATA_KEYS[name],
            )
