"""Values converted to other units while scenes are read."""

from collections.abc import Sequence

from geocompose.data.scene import Scene
from geocompose.imagery.units import Conversion, Values


def convert(
    scenes: Sequence[Scene],
    places: Sequence[Sequence[int]],
    bands: Sequence[str],
    values: Values,
    units: Sequence[str | None],
) -> list[str | None]:
    """Have scenes convert the values of the selected bands while reading, and return the units that they then have.

    places: for each scene the places of `bands` among its own. values: what the data states of its files' values.
    units: those to reach, one per selected band. Where no rule exists, and for None, values stay as they are,
        without a declared offset.

    Bands that are not selected are converted like a selected one of the same files, so that one index can use both.
    """
    assert len(units) == len(bands), (units, bands)
    chosen = [values.band(band).nearest(unit) for band, unit in zip(bands, units, strict=True)]
    beside: dict[int, Conversion] = {}
    for band, conversion in zip(bands, chosen, strict=True):
        beside.setdefault(id(values.band(band)), conversion)
    for scene, own_places in zip(scenes, places, strict=True):
        stated = [values.band(name) for name in scene.band_names]
        conversions = [beside.get(id(each)) or each.nearest(None) for each in stated]
        for place, conversion in zip(own_places, chosen, strict=True):
            conversions[place] = conversion
        scene.conversions = conversions
    return [conversion.unit for conversion in chosen]
