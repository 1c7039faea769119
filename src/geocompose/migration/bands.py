"""TerraTorch's lists of bands: names, members of enumerations, places, and intervals of places."""

import re

from geocompose.imagery.bands import is_known

# A band: its name, or a number where it has none.
Band = str | int

_INTERVAL = re.compile(r"[\[(]\s*(\d+)\s*,\s*(\d+)\s*[\])]")
_ENUMERATION = re.compile(r"(?:.*\.)?(?:HLS|Optical|SAR|S1|S2)Bands\.(\w+)")


def band_list(given: object) -> list[Band] | None:
    """Return the bands of a list, intervals spelt out; None where it is not such a list.

    A text that is a number is one: TerraTorch calls bands so that have no name.
    """
    if not isinstance(given, list) or not given:
        return None
    bands: list[Band] = []
    for one in given:
        found = _bands(one)
        if found is None:
            return None
        bands += found
    return bands


def _bands(one: object) -> list[Band] | None:
    if isinstance(one, bool):
        return None
    if isinstance(one, int):
        return [one]
    if isinstance(one, list):
        whole = len(one) == 2 and all(isinstance(end, int) and not isinstance(end, bool) for end in one)
        return list(range(one[0], one[1] + 1)) if whole else None
    if not isinstance(one, str):
        return None
    if (interval := _INTERVAL.fullmatch(one.strip())) is not None:
        return list(range(int(interval[1]), int(interval[2]) + 1))
    if (member := _ENUMERATION.fullmatch(one.strip())) is not None:
        return [member[1]]
    return [int(one)] if one.strip().isdigit() else [one]


def unnamed(place: int) -> str:
    """Return how a band without a name is called: by its place in the file, counted from 1."""
    return f"band_{place + 1}"


def named(
    there: list[Band], read: list[Band] | None, of_model: list[Band] | None
) -> tuple[list[str], list[str]] | None:
    """Return names for the bands of the files, in file order, and for those that are read; None where they don't fit.

    there: of the files. read: those of them that are read; None: all. of_model: what the model calls these: a name of
    its own that a band has no known one for is taken.
    """
    chosen = there if read is None else read
    if any(band not in there for band in chosen):
        return None
    places = [there.index(band) for band in chosen]
    if len(set(places)) < len(places):
        return None
    names = [band if isinstance(band, str) else unnamed(place) for place, band in enumerate(there)]
    if of_model is not None and len(of_model) == len(places):
        for place, own in zip(places, of_model, strict=True):
            if isinstance(own, str) and is_known(own) and not is_known(names[place]) and own not in names:
                names[place] = own
    once = [name if name not in names[:place] else unnamed(place) for place, name in enumerate(names)]
    return once, [once[place] for place in places]
