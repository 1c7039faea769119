"""Bands as people write them for a backbone: names, or members of an enumeration whose values are names."""

from collections.abc import Iterable, Mapping
from enum import Enum

from geocompose.errors import UserError
from geocompose.imagery.bands import canonical, check_names


def band_names(argument: str, given: Iterable[object]) -> list[str]:
    """Return the names of bands, each once; `argument` says in errors where they were given.

    given: names, or enumeration members with such values (TerraTorch's `HLSBands.RED`).

    Raises:
        UserError: there is none, one is misspelt, given twice, or no name.
    """
    if isinstance(given, str):
        raise UserError(f"{argument} is a list of band names, such as [BLUE, GREEN, RED]; got {given!r}.")
    refuse_modalities(argument, given)
    names = []
    for band in given:
        name = band.value if isinstance(band, Enum) else band
        if not isinstance(name, str):
            raise UserError(
                f"{argument} takes names of bands, such as [BLUE, GREEN, RED]; got {name!r}. A number or a range does "
                "not say which band it is, so that no pretrained weights could be chosen for it."
            )
        names.append(name)
    check_names(names)
    if len({canonical(name) for name in names}) < len(names) or not names:
        raise UserError(f"{argument} names each band once, and at least one; got {names}.")
    return names


def refuse_modalities(argument: str, given: object) -> None:
    """Refuse bands of several modalities for a backbone of one image.

    Raises:
        UserError: `given` is a mapping; says what to write instead.
    """
    if isinstance(given, Mapping):
        raise UserError(
            f"{argument} is the list of bands of one image, but names several modalities: "
            f"{', '.join(map(str, given))}. Write one list of all their bands, or give each a backbone of its own, "
            "side by side: backbone=fusion."
        )
