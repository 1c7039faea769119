"""What the values of an input are, and whether they become what a run's model reads."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from geocompose.data.files.coordinate_tables import is_table
from geocompose.errors import UserError
from geocompose.imagery.agreement import check_counted_alike
from geocompose.imagery.units import UNITS, Values


def input_values(
    recorded: Mapping[str, Any],
    unit: str | None,
    offset: float | str | None,
    scale: float | None,
    scale_tags: str | None = None,
) -> Values:
    """Return what the input's values are; of no unit where it was never stated what the training data's were.

    recorded: what record.json says of the run's data. unit, offset, scale, scale_tags: what the user says of the input;
        None is as in training. Files' tags are not read where those of the training weren't.

    Raises:
        UserError: an offset or scale of values that have none, or a unit where there is none to convert to.
    """
    trained = Values.of(recorded)
    more = _more(recorded, trained) or None
    # Earlier runs didn't read tags, whatever their files held; a model of digital numbers takes them as they are.
    as_stored = trained.unit == "dn" and "dn" in (recorded.get("read_as") or ())
    read = "ignore" if as_stored else recorded.get("scale_tags") or "ignore"
    if trained.unit is None:
        for key, value in (("unit", unit), ("offset", offset), ("scale", scale)):
            if value is not None:
                raise UserError(
                    f"action.{key}={value} says what the input's values are, but the run's data never said what the "
                    "model reads (data.unit). Leave it out; the input is read as it is."
                )
        return replace(trained, scale_tags=scale_tags or read, presumed=scale_tags is None, more=more, group="action")
    presumed = unit is offset is scale is scale_tags is None
    if unit is None:
        offset = _as_trained(trained) if offset is None else offset
        scale = trained.scale if scale is None else scale
    values = Values(
        unit or trained.unit,
        None,
        offset,
        scale,
        scale_tags=scale_tags or (read if presumed else "read"),
        presumed=presumed,
        more=more,
        group="action",
    )
    check_counted_alike(values, recorded)
    return values


def _more(recorded: Mapping[str, Any], trained: Values) -> dict[str, Values]:
    """Return what the bands of further rasters are, as in the training.

    Raises:
        UserError: their offsets were in a table.
    """
    found = {}
    for band, values in (trained.more or {}).items():
        if isinstance(values.offset, str) and is_table(values.offset):
            raise UserError(
                f"The run was trained with offsets of {band} out of a table ({values.offset}), which says nothing of "
                "other rasters. Train it with offset: tags or date in data.more_images, or a number."
            )
        read = recorded["more_values"][band].get("scale_tags") or "ignore"
        found[band] = replace(values, scale_tags=read, presumed=True, group="action")
    return found


def _as_trained(trained: Values) -> float | str | None:
    if isinstance(trained.offset, str) and is_table(trained.offset):
        raise UserError(
            f"The run was trained with offsets out of a table (data.offset={trained.offset}), which says nothing of "
            "other images. Write action.offset=NUMBER with what was added to the input's values, date, tags, or a "
            "table FILE.csv with the columns file, offset."
        )
    return trained.offset


def check_reaches_model(bands: Sequence[str], units: Sequence[str | None], values: Values) -> None:
    """Refuse an input whose values can't be turned into what a run's model reads.

    bands, units: those that the model reads. values: what is known of the input's.

    Raises:
        UserError: no rule leads there.
    """
    for band, unit in zip(bands, units, strict=True):
        own = values.band(band)
        if unit is None or own.becomes(unit):
            continue
        if own.unit == "dn":
            raise UserError(
                f"The run's model reads {unit} ({UNITS[unit]}), and of digital numbers (action.unit=dn) it isn't known "
                "what was added. Write action.offset=0, or what was added: 1000 in Sentinel-2 images of processing "
                "baseline 04.00 on."
            )
        raise UserError(
            f"The run's model reads {unit} ({UNITS[unit]}), and no rule turns action.unit={own.unit} into that. "
            "Convert the raster first, or leave action.unit out to have it read as the training data was."
        )
