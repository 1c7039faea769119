"""Values converted to other units while scenes are read, each by what its own file says."""

from collections.abc import Sequence
from typing import Protocol

from geocompose.errors import UserError
from geocompose.imagery.file_values import FileValues, Stored, completed, file_values
from geocompose.imagery.units import Conversion, Values


class Convertible(Protocol):
    """What values are converted of: a scene, or an image without a label. See `geocompose.data.scene.Scene`."""

    band_names: list[str]
    conversions: Sequence[Conversion] | None

    def stored(self, band: int) -> tuple[Stored, ...]:
        """Return how a band is stored in each frame."""


def convert(
    scenes: Sequence[Convertible],
    places: Sequence[Sequence[int]],
    bands: Sequence[str],
    values: Values,
    units: Sequence[str | None],
) -> list[str | None]:
    """Have scenes convert the values of the selected bands while reading, and return the units that they then have.

    places: for each scene the places of `bands` among its own. values: what is known of all files' values, see
    `geocompose.data.known_values`; each file's own tags and offset complete it. units: those to reach, one per selected
    band. Where no rule exists, and for None, values stay as they are, without what was added.

    Bands that are not selected are converted like a selected one of the same values, so that one index can use both.

    Raises:
        UserError: what a file says of a selected band and what is stated can't both be right.
    """
    assert len(units) == len(bands), (units, bands)
    reached = [values.band(band).unit_for(unit) for band, unit in zip(bands, units, strict=True)]
    beside: dict[int, str | None] = {}
    for band, unit in zip(bands, reached, strict=True):
        beside.setdefault(id(values.band(band)), unit)
    known: dict[object, Conversion] = {}
    for scene, own_places in zip(scenes, places, strict=True):
        selected = dict(zip(own_places, reached, strict=True))
        conversions = []
        for place, name in enumerate(scene.band_names):
            own, stored = values.band(name), scene.stored(place)
            unit = selected[place] if place in selected else own.unit_for(beside.get(id(own)))
            key = id(own), unit, place in selected, *(one[1:] for one in stored)
            if key not in known:
                known[key] = _conversion(stored, own, name, unit, selected=place in selected)
            conversions.append(known[key])
        scene.conversions = conversions
    return reached


def _conversion(stored: Sequence[Stored], values: Values, band: str, unit: str | None, *, selected: bool) -> Conversion:
    try:
        return Conversion.of_frames([values_in(one, values, band).conversion(unit) for one in stored])
    except UserError as error:
        if selected:
            raise
        return Conversion(None, refused=str(error))


def values_in(stored: Stored, values: Values, band: str) -> FileValues:
    """Return what the values of a band are in a file.

    values: what is known of the band in all files.

    Raises:
        UserError: see `geocompose.imagery.file_values.file_values`; or the file says more than others, so that nothing
            is known of all of them.
    """
    found = completed(values, stored.packing, band)
    if found != values:
        group, tags = values.group, f"{stored.file} has tags ({stored.packing.in_words()}) by which {band} "
        if values.unit is None:
            raise UserError(
                f"{tags}is {found.unit}, and other files say nothing of the kind. Write what those hold, such as "
                f"{group}.unit=reflectance; tags are read where they are."
            )
        raise UserError(
            f"{tags}says what was added to digital numbers, and other files don't. Write {group}.offset=NUMBER, or a "
            "table FILE.csv with the offset of each."
        )
    return file_values(values, stored.packing, stored.added, stored.file)
