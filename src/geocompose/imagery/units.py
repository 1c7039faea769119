"""What pixel values are: their unit and level, and the rules that turn one unit into another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from geocompose.errors import UserError, choices
from geocompose.imagery.bands import canonical

UNITS: Mapping[str, str] = {
    "reflectance": "reflectance, mostly 0 to 1",
    "reflectance_1e4": "reflectance x 10000",
    "dn": "digital numbers, of which (dn - offset) / scale is reflectance",
    "db": "radar backscatter in dB",
    "power": "radar backscatter in linear power",
    "uint8": "8-bit colours, 0 to 255, of no physical unit",
}
LEVELS: Mapping[str, str] = {"TOA": "top of atmosphere", "BOA": "surface, atmosphere removed"}
MISMATCHES = ("unit", "level", "band")
DN_SCALE = 10_000.0  # of Sentinel-2 and HLS
# How an offset that differs from file to file is found: by the file's own tags, by the image's date, or in a table.
OFFSET_RULES = ("tags", "date")
SCALE_TAGS = ("read", "ignore")
_OPTICAL = {"reflectance": 1.0, "reflectance_1e4": 1e4}  # unit -> its values per 1.0 of reflectance


@dataclass(frozen=True)
class Conversion:
    """How values of a file become those that a model reads: (value - offset) x factor, then between power and dB.

    unit: what they are afterwards; None where it isn't stated what they are.
    refused: why values can't be read, for a band that nothing may read.
    frames: one per frame where the frames of a file differ, as those before and after a change of the producer's
        offset; the other numbers are then not used.
    """

    unit: str | None
    offset: float = 0.0
    factor: float = 1.0
    between: Literal["power_to_db", "db_to_power"] | None = None
    frames: tuple["Conversion", ...] = ()
    refused: str | None = None

    @classmethod
    def of_frames(cls, frames: Sequence["Conversion"]) -> "Conversion":
        """Return the conversion of a file whose frames are converted like this, one per frame."""
        first = frames[0]
        assert all(one.unit == first.unit for one in frames), frames
        return first if all(one == first for one in frames) else cls(first.unit, frames=tuple(frames))

    def of_frame(self, frame: int) -> "Conversion":
        """Return the conversion of one frame, counted from 0."""
        return self.frames[frame] if self.frames else self

    @property
    def changes(self) -> bool:
        """Whether any value becomes another one."""
        if self.frames:
            return any(one.changes for one in self.frames)
        if self.refused is not None:
            return True
        return self.between is not None or self.offset != 0.0 or self.factor != 1.0

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the values as float32, computed in float64; power of 0 or less becomes -infinity or NaN in dB.

        values: of any shape; (frames, height, width) where frames differ.

        Raises:
            UserError: they can't be read.
        """
        if self.refused is not None:
            raise UserError(self.refused)
        if self.frames:
            return np.stack([one.apply(frame) for one, frame in zip(self.frames, values, strict=True)])
        if not self.changes:
            # A double may be too large; where it is not nodata, it is refused as infinity.
            with np.errstate(over="ignore"):
                return values.astype(np.float32)
        exact = values.astype(np.float64)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            if self.offset != 0.0 or self.factor != 1.0:
                exact = (exact - self.offset) * self.factor
            if self.between == "power_to_db":
                exact = 10 * np.log10(exact)
            elif self.between == "db_to_power":
                exact = 10 ** (exact / 10)
            return exact.astype(np.float32)


@dataclass(frozen=True)
class Values:
    """What the values of a data set's files are, as its configuration states it.

    unit: a key of `UNITS`; None where it isn't stated. level: TOA or BOA; None where it isn't stated or means nothing.
    offset: what the producer added to each value, such as 1000 in Sentinel-2 images of processing baseline 04.00 on;
        None is what a file's tags say, else 0, but unknown for digital numbers. `tags`, `date` or the name of a table
        where it differs from file to file: see `geocompose.data.offsets`.
    scale: digital numbers per 1.0 of reflectance; None is what a file's tags say, else 10000.
    scale_tags: whether the scale and offset that files carry as tags are read; `ignore` leaves them unread.
    presumed: whether offset and scale are those of other data, the training's: a file's own tags then come first.
    allow_mismatch: any of unit, level, band: differences between data and pretrained weights that are intended.
    more: those of single bands, by the vocabulary's name, that differ from the others', as of further rasters.
    group: where these keys stand, for messages.

    Raises:
        UserError: a name that there isn't, or an offset or scale of values that have none.
    """

    unit: str | None = None
    level: str | None = None
    offset: float | str | None = None
    scale: float | None = None
    allow_mismatch: Sequence[str] | None = None
    scale_tags: str = "read"
    presumed: bool = False
    more: Mapping[str, "Values"] | None = None
    group: str = "data"

    def __post_init__(self) -> None:
        if self.unit is not None and self.unit not in UNITS:
            raise UserError(f"{self.group}.unit has no {self.unit!r}. {choices(self.unit, UNITS)}")
        if self.level is not None and self.level not in LEVELS:
            raise UserError(f"{self.group}.level has no {self.level!r}. {choices(self.level, LEVELS)}")
        for name in self.allow_mismatch or ():
            if name not in MISMATCHES:
                raise UserError(f"{self.group}.allow_mismatch has no {name!r}. {choices(name, MISMATCHES)}")
        if self.scale_tags not in SCALE_TAGS:
            raise UserError(
                f"{self.group}.scale_tags has no {self.scale_tags!r}. {choices(self.scale_tags, SCALE_TAGS)}"
            )
        self._check_offset()
        if self.scale is not None and self.unit != "dn":
            raise UserError(
                f"{self.group}.scale={self.scale:g} is for digital numbers; here {self.group}.unit is "
                f"{self.unit or 'null'}. Write {self.group}.unit=dn, or leave {self.group}.scale out."
            )
        if self.scale is not None and not self.scale > 0:
            raise UserError(
                f"{self.group}.scale={self.scale:g} must be above 0: digital numbers per 1.0 of reflectance."
            )

    def _check_offset(self) -> None:
        if isinstance(self.offset, str) and self.offset not in OFFSET_RULES and not self.offset.endswith(".csv"):
            known = ["a number", *OFFSET_RULES, "a table FILE.csv", "null"]
            raise UserError(f"{self.group}.offset has no {self.offset!r}. {choices(self.offset, known)}")
        if self.offset == "tags" and self.scale_tags == "ignore":
            raise UserError(
                f"{self.group}.offset=tags reads the files' tags, and {self.group}.scale_tags=ignore doesn't. Leave "
                "one of them out."
            )
        if self.offset is not None and self.unit not in ("dn", *_OPTICAL):
            raise UserError(
                f"{self.group}.offset={number_in_words(self.offset)} is what was added to digital numbers or "
                f"reflectance; here {self.group}.unit is {self.unit or 'null'}. Write {self.group}.unit=dn, or leave "
                f"{self.group}.offset out."
            )

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Values":
        """Return what a configuration or a record of data states; earlier ones state nothing."""
        stated = [field.name for field in fields(cls) if field.name not in ("more", "group", "presumed")]
        more = {band: cls.of(own) for band, own in (data.get("more_values") or {}).items()}
        return cls(**{name: data[name] for name in stated if name in data}, more=more or None)

    def band(self, name: str) -> "Values":
        """Return what the values of one band are."""
        return (self.more or {}).get(canonical(name), self)

    @property
    def per_reflectance(self) -> float | None:
        """By how much the files' values grow with 1.0 of reflectance; None where no rule leads there."""
        if self.unit == "dn":
            return None if self.offset is None else DN_SCALE if self.scale is None else self.scale
        return _OPTICAL.get(self.unit or "")

    @property
    def differs_by_file(self) -> bool:
        """Whether the offset is found file by file."""
        return isinstance(self.offset, str)

    def becomes(self, unit: str | None) -> bool:
        """Return whether a rule leads from the files' values to `unit`, whatever the offset of each file."""
        one = replace(self, offset=0.0) if self.differs_by_file else self
        return one.conversion(unit) is not None

    def unit_for(self, unit: str | None) -> str | None:
        """Return in which unit values are read where a model wants `unit`: that, or their own if no rule leads there.

        Digital numbers with an offset become reflectance x 10000 where a model wants none.
        """
        if unit is not None and self.becomes(unit):
            return unit
        return "reflectance_1e4" if self.unit == "dn" and self.offset is not None else self.unit

    def conversion(self, unit: str | None) -> Conversion | None:
        """Return how the files' values become `unit`, or None where no rule leads there.

        The offset must be a number, or None: `geocompose.imagery.file_values` finds that of each file.

        Without a unit to reach, or in a file that states none, values stay as they are, but what the producer added is
        taken off: digital numbers with a declared offset become reflectance x 10000.
        """
        offset = self.offset or 0.0
        assert isinstance(offset, float | int), f"the offset of each file is {offset}"
        if self.unit is None:
            return Conversion(None) if unit is None else None
        if unit is None:
            unit = self.unit_for(None)
        if {self.unit, unit} == {"db", "power"}:
            return Conversion(unit, between="power_to_db" if unit == "db" else "db_to_power")
        if unit in _OPTICAL and self.per_reflectance is not None:
            return Conversion(unit, offset, _OPTICAL[unit] / self.per_reflectance)
        return Conversion(unit) if unit == self.unit else None

    def in_words(self) -> str:
        """Return unit, offset, scale and level as a message says them."""
        if self.unit is None:
            return "values of no stated unit"
        stated = (("offset", self.offset), ("scale", self.scale))
        added = [f"{name} {number_in_words(value)}" for name, value in stated if value is not None]
        return ", ".join([self.unit, *added, *([self.level] if self.level else [])])

    def as_record(self) -> dict[str, Any]:
        """Return what a run's record keeps, as JSON knows it."""
        own = {name: getattr(self, name) for name in ("unit", "level", "offset", "scale", "scale_tags")}
        more = {band: values.as_record() for band, values in (self.more or {}).items()}
        return {**own, "more_values": more} if more else own


def per_reflectance(unit: str | None) -> float | None:
    """Return by how much values of a unit grow with 1.0 of reflectance; None where it says nothing of that."""
    return _OPTICAL.get(unit or "")


def number_in_words(value: float | str | None) -> str:
    """Return a number, or the rule or table that says it, as it is written on the command line."""
    return "null" if value is None else value if isinstance(value, str) else f"{value:g}"


def conversions_of(
    bands: Sequence[int], conversions: Sequence[Conversion] | None, num_frames: int = 1
) -> list[Conversion]:
    """Return the conversion of each plane of some bands, the frames of the first band first.

    conversions: one per band of the file; None changes nothing.
    """
    chosen = [Conversion(None) if conversions is None else conversions[band] for band in bands]
    return [conversion.of_frame(frame) for conversion in chosen for frame in range(num_frames)]
