"""The parts of a record that are used again, not only shown: held to their types before a model is built from them."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from geocompose.errors import UserError
from geocompose.imagery.samples import Kind
from geocompose.imagery.units import LEVELS, UNITS
from geocompose.runs.record import Record

_Size = Annotated[int, Field(ge=1, le=65_536)]
_Deviation = Annotated[FiniteFloat, Field(gt=0)]


def _one_of(allowed: Collection[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"one of {', '.join(allowed)} is allowed")
        return value

    return AfterValidator(check)


_Unit = Annotated[str, _one_of(UNITS)]
_Level = Annotated[str, _one_of(LEVELS)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Target(_Part):
    kind: Kind
    names: Annotated[list[str], Field(min_length=1)]
    ignore_index: int
    mean: list[FiniteFloat] | None
    std: list[_Deviation] | None
    deviation: list[Annotated[FiniteFloat, Field(ge=0)]] | None = None
    units: list[str] | None = None


class _Normalization(_Part):
    mean: list[FiniteFloat] | list[list[FiniteFloat]]
    std: list[_Deviation] | list[list[_Deviation]]


class _Values(_Part):
    unit: _Unit | None = None
    level: _Level | None = None
    offset: FiniteFloat | str | None = None
    scale: FiniteFloat | None = None
    scale_tags: Literal["read", "ignore"] | None = None


class _Data(_Values):
    bands: Annotated[list[str], Field(min_length=1)]
    tile_px: _Size
    num_frames: _Size = 1
    coordinates: list[Literal["time", "location"]] = []
    target: _Target | None = None
    normalization: _Normalization | None = None
    read_as: list[_Unit | None] | None = None
    more_values: dict[str, _Values] = {}


class _Model(_Part):
    necks: list[dict[str, Any]] | None = None


def check_record(record: Record, file: Path) -> None:
    """Refuse a record whose bands, sizes, numbers or necks are not what a run writes.

    Raises:
        UserError: says which value, and what it should be.
    """
    for part, kind, content in (("data", _Data, record.data), ("model", _Model, record.model)):
        try:
            kind.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(step) for step in (part, *first["loc"]))
            raise UserError(_not_as_recorded(file, f"{place}: {first['msg']}; got {first['input']!r:.80}")) from error
    data = record.data
    target, normalization = data.get("target") or {}, data.get("normalization") or {}
    for key, values, name, names in (
        ("normalization.mean", normalization.get("mean"), "bands", data["bands"]),
        ("normalization.std", normalization.get("std"), "bands", data["bands"]),
        ("read_as", data.get("read_as"), "bands", data["bands"]),
        ("target.mean", target.get("mean"), "target.names", target.get("names")),
        ("target.std", target.get("std"), "target.names", target.get("names")),
    ):
        if values is not None and names is not None and len(values) != len(names):
            reason = f"data.{key} has {len(values)} values, and data.{name} has {len(names)}"
            raise UserError(_not_as_recorded(file, reason))


def _not_as_recorded(file: Path, reason: str) -> str:
    return f"{file} is not as a run records it ({reason}). Put the original back, or compute the run again."
