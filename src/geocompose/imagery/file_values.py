"""What the values of one file are: what is stated of all, completed by the scale, offset and unit that it carries.

The rules are those of the table in docs/inputs.md.
"""

from dataclasses import replace
from typing import NamedTuple

from geocompose.errors import UserError
from geocompose.imagery.packing import Packing, alike
from geocompose.imagery.units import DN_SCALE, Conversion, Values, number_in_words


class Told(NamedTuple):
    """What is to be said of a file: those of one `kind` are one line. warns: whether statement and file differ."""

    kind: str
    text: str
    warns: bool = False


class Stored(NamedTuple):
    """How a band is stored in a frame of a file.

    added: what was added to its numbers, where a table or the image's date says it.
    """

    file: str
    packing: Packing = Packing()
    added: float | None = None


class FileValues(NamedTuple):
    """What a band's values are in one file.

    values: its offset is a number, or None. packing: the tags that stored numbers are unpacked by before that; None
        where they count among `values`, or not at all.
    """

    values: Values
    packing: Packing | None = None
    told: tuple[Told, ...] = ()

    def conversion(self, unit: str | None) -> Conversion:
        """Return how stored numbers become `unit`, to which a rule must lead."""
        conversion = self.values.conversion(unit)
        assert conversion is not None, (self.values, unit)
        if self.packing is None:
            return conversion
        return replace(conversion, offset=self.packing.added, factor=self.packing.scale)


def completed(stated: Values, packing: Packing, band: str) -> Values:
    """Return what is stated, completed by what is not stated and a file plainly says.

    That is the unit, and for digital numbers that the tags say what was added.
    """
    if stated.scale_tags == "ignore":
        return stated
    if stated.unit is None:
        named = packing.named_unit
        unit = "reflectance" if packing.makes_reflectance(band) else named if named in ("db", "power") else None
        return stated if unit is None else replace(stated, unit=unit)
    if stated.unit == "dn" and stated.offset is None and packing.is_given:
        return replace(stated, offset="tags")
    return stated


def file_values(values: Values, packing: Packing, added: float | None, file: str) -> FileValues:
    """Return what the values of a band are in a file.

    values: what is known of the band in all files, see `completed`. added: what was added in this file, where
        `values.offset` is a rule or a table that says it.

    Raises:
        UserError: statement and tags can't both be right, the tags are impossible, or lack where they are to be read.
    """
    if packing.is_given and not packing.is_possible:
        raise UserError(
            f"{file} has tags that no number can be unpacked by: {packing.in_words()}. Correct them, or write "
            f"{values.group}.scale_tags=ignore."
        )
    if added is not None:
        values = replace(values, offset=added)
    if values.scale_tags == "ignore":
        why = "as in the run's training" if values.presumed else f"as {values.group}.scale_tags=ignore says"
        left = Told("ignored", f"the tags ({packing.in_words()}) are not read, {why}.", warns=values.presumed)
        return FileValues(values, told=(left,) if packing.is_given else ())
    told = _other_unit(values, packing)
    if not packing.is_given:
        if values.offset == "tags":
            raise UserError(
                f"{file} has no scale or offset among its tags, and {values.group}.offset=tags reads what was added "
                f"there. Write {values.group}.offset=NUMBER, date or a table FILE.csv."
            )
        return FileValues(values, told=told)
    rule = {"reflectance": _reflectance, "reflectance_1e4": _numbers, "dn": _numbers, "uint8": _colours}
    found = rule.get(values.unit or "", _physical)(values, packing, file)
    return found._replace(told=told + found.told)


def _other_unit(values: Values, packing: Packing) -> tuple[Told, ...]:
    """Return a warning where the file gives another unit than is stated."""
    named = packing.named_unit
    if named is None or values.unit in (None, named):
        return ()
    if named == "reflectance" and values.unit in ("reflectance_1e4", "dn") and packing.is_given:
        return ()
    text = f"{values.group}.unit={values.unit} counts, not the unit that they give ({packing.unit.strip()})."
    return (Told(f"unit {named}", text, warns=True),)


def _reflectance(values: Values, packing: Packing, file: str) -> FileValues:
    """Stored numbers of which the tags make reflectance."""
    given, added = values.offset, packing.added
    # In stored numbers or in reflectance, it is the same statement.
    stated = isinstance(given, float | int) and not values.presumed
    if stated and not (alike(float(given or 0), added) or alike(float(given or 0), -packing.offset)):
        raise UserError(
            f"{file} has tags ({packing.in_words()}) that make reflectance of its values and say that {added:g} was "
            f"added; {values.group}.offset={number_in_words(given)} says otherwise. Leave {values.group}.offset out, "
            f"or write {values.group}.scale_tags=ignore if the tags are wrong."
        )
    numbers = replace(values, unit="dn", offset=added, scale=1 / packing.scale, presumed=False)
    text = f"the tags ({packing.in_words()}) make reflectance of what they hold, and are read."
    return FileValues(numbers, told=(Told("reflectance", text),))


def _numbers(values: Values, packing: Packing, file: str) -> FileValues:
    """Stored numbers are stated; the tags say how they lead to reflectance."""
    told = []
    # A scale of 1 packs nothing: such tags only take off what was added.
    per_reflectance = None if alike(packing.scale, 1.0) else float(f"{1 / packing.scale:.10g}")
    scale = values.scale
    if per_reflectance is not None and values.unit == "reflectance_1e4" and not alike(per_reflectance, DN_SCALE):
        raise UserError(
            f"{file} has tags ({packing.in_words()}) of {per_reflectance:g} per 1.0 of reflectance; "
            f"{values.group}.unit=reflectance_1e4 says {DN_SCALE:g}. Write {values.group}.unit=reflectance to have the "
            f"tags read, or {values.group}.scale_tags=ignore if they are wrong."
        )
    if per_reflectance is not None and values.unit == "dn":
        if scale is None or values.presumed:
            scale = per_reflectance
        elif not alike(scale, per_reflectance):
            text = f"{values.group}.scale={scale:g} counts, not the scale of the tags ({packing.in_words()})."
            told.append(Told("scale", text, warns=True))
    offset, added = values.offset, packing.added
    if isinstance(offset, str) or offset is None or values.presumed:
        training = isinstance(offset, float | int) and not alike(offset, added)
        beside = f", not {number_in_words(offset)} as in the training" if training else ""
        text = f"the tags ({packing.in_words()}) say that {added:g} was added{beside}, and are read."
        offset = added
        if offset or values.unit == "dn" or training:
            told.append(Told("added", text, warns=training))
    elif not alike(offset, added):
        text = f"{values.group}.offset={number_in_words(offset)} counts, not the tags ({packing.in_words()})"
        told.append(Told("offset", f"{text}, which say that {added:g} was added.", warns=True))
    return FileValues(replace(values, offset=offset, scale=scale, presumed=False), told=tuple(told))


def _colours(values: Values, packing: Packing, file: str) -> FileValues:
    """Colours have no physical value that tags could lead to."""
    text = f"{values.group}.unit={values.unit} has no physical value, so that the tags ({packing.in_words()}) are not"
    return FileValues(values, told=(Told("colours", f"{text} read.", warns=True),))


def _physical(values: Values, packing: Packing, file: str) -> FileValues:
    """The tags lead to the stated unit, or to one that is not stated."""
    unit = "of a unit that is not stated" if values.unit is None else f"in {values.unit}"
    text = f"the tags ({packing.in_words()}) make values {unit} of what they hold, and are read."
    return FileValues(values, packing, (Told(f"physical {values.unit}", text),))
