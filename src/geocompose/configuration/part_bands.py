"""Which bands each of several backbones side by side reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from geocompose.bands import canonical, positions
from geocompose.errors import UserError


def bands_of_parts(parts: Mapping[str, Mapping[str, Any]], available: Sequence[str]) -> dict[str, list[str]]:
    """Return the bands of each part: those it names; else those it was trained on, if all are there; else all that no part names.

    parts: each part's arguments, of which `bands` and `pretrained_bands` are looked at. available: the image's bands.
    With the bands returned as what is available, the answer is the same.

    Raises:
        UserError: a part names a band that is not there, or has none left.
    """
    there = {canonical(name) for name in available}
    named = {canonical(band) for part in parts.values() for band in part.get("bands") or ()}
    found = {}
    for name, part in parts.items():
        trained_on = part.get("pretrained_bands") or []
        if part.get("bands"):
            bands = list(part["bands"])
            positions(bands, available, where=f"backbone.parts.{name}.bands: the image")
        elif trained_on and all(canonical(band) in there for band in trained_on):
            bands = list(trained_on)
        else:
            bands = [band for band in available if canonical(band) not in named]
        if not bands:
            raise UserError(
                f"No band is left for backbone.parts.{name}: the other parts name all of {', '.join(available)}. Give its own as "
                f"backbone.parts.{name}.bands."
            )
        found[name] = bands
    return found


def joined(bands: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the bands of all parts in order, each once, as it is spelt first."""
    spelt: dict[str, str] = {}
    for listed in bands.values():
        for band in listed:
            spelt.setdefault(canonical(band), band)
    return list(spelt.values())
