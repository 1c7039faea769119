"""Which bands each of several backbones side by side reads."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from geocompose.errors import UserError
from geocompose.imagery.bands import BANDS, canonical, positions


def bands_of_parts(
    parts: Mapping[str, Mapping[str, Any]], available: Sequence[str], *, other_sensors: bool = False
) -> dict[str, list[str]]:
    """Return the bands of each part: those it names, else those it was trained on if all are there, else what is left.

    A part takes what it names or was trained on. Where the others take all by what they were trained on, a part without
    bands reads all that no part names, beside them. With the bands returned as what is available, the answer is the
    same.

    parts: each part's arguments, of which `bands` and `pretrained_bands` are looked at. available: the image's bands.
    other_sensors: of those that no other part takes, only the bands of sensors of which no other part takes any, where
        there are such: radar beside an optical part, and not what is left of the optical image.

    Raises:
        UserError: a part names a band that is not there, or has none left.
    """
    taken: dict[str, list[str]] = {}
    for name, part in parts.items():
        trained_on = part.get("pretrained_bands") or []
        if part.get("bands"):
            positions(part["bands"], available, where=f"backbone.parts.{name}.bands: the image")
            taken[name] = list(part["bands"])
        elif trained_on and not _without(trained_on, available):
            taken[name] = list(trained_on)
    named = [band for part in parts.values() for band in part.get("bands") or ()]
    left = _without(available, joined(taken))
    if other_sensors:
        read = {sensor for band in joined(taken) for sensor in _sensors(band)}
        left = [band for band in left if not _sensors(band) & read] or left
    left = left or _without(available, named)
    for name in parts:
        if name not in taken and not left:
            raise UserError(
                f"No band is left for backbone.parts.{name}: the other parts name all of {', '.join(available)}. Give "
                f"its own as backbone.parts.{name}.bands."
            )
    return {name: taken.get(name, list(left)) for name in parts}


def _without(bands: Sequence[str], others: Collection[str]) -> list[str]:
    out = {canonical(band) for band in others}
    return [band for band in bands if canonical(band) not in out]


def _sensors(band: str) -> set[str]:
    """Return the sensors that have a band; none of an elevation's, or of a band that the vocabulary lacks."""
    known = BANDS.get(canonical(band))
    return set(known.sensors) if known else set()


def joined(bands: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the bands of all parts in order, each once, as it is spelt first."""
    spelt: dict[str, str] = {}
    for listed in bands.values():
        for band in listed:
            spelt.setdefault(canonical(band), band)
    return list(spelt.values())
