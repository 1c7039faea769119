"""What the values of an input are, and how they become what a run's model reads."""

from collections.abc import Mapping
from typing import Any

from geocompose.errors import UserError
from geocompose.imagery.agreement import check_counted_alike
from geocompose.imagery.units import UNITS, Conversion, Values


def input_values(
    recorded: Mapping[str, Any], unit: str | None, offset: float | None, scale: float | None
) -> Values | None:
    """Return what the input's values are; None where it was never stated what the training data's were.

    recorded: what record.json says of the run's data. unit, offset, scale: what the user says of the input; None is as
        in training.

    Raises:
        UserError: an offset or scale of values that have none, or a unit where there is none to convert to.
    """
    trained = Values.of(recorded)
    if trained.unit is None:
        for key, value in (("unit", unit), ("offset", offset), ("scale", scale)):
            if value is not None:
                raise UserError(
                    f"action.{key}={value} says what the input's values are, but the run's data never said what the "
                    "model reads (data.unit). Leave it out; the input is read as it is."
                )
        return trained if trained.more else None
    if unit is None:
        offset = trained.offset if offset is None else offset
        scale = trained.scale if scale is None else scale
    return Values(unit or trained.unit, None, offset, scale, more=trained.more, group="action")


def conversions_to_model(recorded: Mapping[str, Any], values: Values) -> list[Conversion]:
    """Return how the values of each of the run's bands become what its model reads.

    Raises:
        UserError: no rule leads there.
    """
    check_counted_alike(values, recorded)
    found = []
    for band, unit in zip(recorded["bands"], recorded["read_as"], strict=True):
        conversion = values.band(band).conversion(unit)
        if conversion is None and values.unit == "dn":
            raise UserError(
                f"The run's model reads {unit} ({UNITS[unit]}), and of digital numbers (action.unit=dn) it isn't known "
                "what was added. Write action.offset=0, or what was added: 1000 in Sentinel-2 images of processing "
                "baseline 04.00 on."
            )
        if conversion is None:
            raise UserError(
                f"The run's model reads {unit} ({UNITS[unit]}), and no rule turns action.unit={values.unit} into that. "
                "Convert the raster first, or leave action.unit out to have it read as the training data was."
            )
        found.append(conversion)
    return found
