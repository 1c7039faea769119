"""The vocabulary of spectral bands: one name a band, and the names that sensors and archives use for it."""

from collections.abc import Iterable, Sequence

from geocompose.errors import UserError, nearest

# Canonical name -> other names in use. Prithvi's and TerraTorch's names are the canonical ones; Sentinel-2's are aliases.
# B8 (NIR_BROAD) and B8A (NIR_NARROW) are different bands and never stand for each other.
ALIASES: dict[str, tuple[str, ...]] = {
    "COASTAL_AEROSOL": ("B1", "B01"),
    "BLUE": ("B2", "B02"),
    "GREEN": ("B3", "B03"),
    "RED": ("B4", "B04"),
    "RED_EDGE_1": ("B5", "B05"),
    "RED_EDGE_2": ("B6", "B06"),
    "RED_EDGE_3": ("B7", "B07"),
    "NIR_BROAD": ("B8", "B08"),
    "NIR_NARROW": ("B8A",),
    "WATER_VAPOR": ("B9", "B09"),
    "CIRRUS": ("B10",),
    "SWIR_1": ("B11",),
    "SWIR_2": ("B12",),
    "PAN": (),
    "THERMAL_1": (),
    "THERMAL_2": (),
    "VV": (),
    "VH": (),
    "HH": (),
    "HV": (),
    "DEM": (),
}
_CANONICAL = {alias.casefold(): name for name, aliases in ALIASES.items() for alias in (name, *aliases)}

# Harmonized Landsat Sentinel-2, in the order in which Prithvi was pretrained.
HLS_BANDS = ("BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2")


def canonical(name: str) -> str:
    """Return the vocabulary's name of a band (`B8A` -> `NIR_NARROW`), or `name` itself where the vocabulary lacks it."""
    return _CANONICAL.get(name.casefold(), name)


def positions(wanted: Sequence[str], available: Sequence[str], *, where: str) -> list[int]:
    """Return for each wanted band its place in `available`; names are compared through the vocabulary.

    `where` says in the error whose bands these are, such as "the data".

    Raises:
        UserError: a band is wanted that is not there, or wanted twice; names the nearest one that is there.
    """
    place = {canonical(name): i for i, name in enumerate(available)}
    missing = [name for name in wanted if canonical(name) not in place]
    if missing:
        guess = nearest(missing[0], [*available, *place])
        hint = f"Did you mean {guess!r}? " if guess else ""
        raise UserError(f"{where} has no band {', '.join(map(repr, missing))}. {hint}It has: {', '.join(available)}.")
    found = [place[canonical(name)] for name in wanted]
    if len(set(found)) < len(found):
        raise UserError(f"A band is asked for twice in {list(wanted)}: name each band once.")
    return found


def check_names(names: Iterable[str], *, known: Iterable[str] = ()) -> None:
    """Refuse a band name that looks like a misspelt one of the vocabulary or of `known`.

    A name that resembles nothing is somebody's own band and passes.

    Raises:
        UserError: names the misspelt band and the nearest right one.
    """
    known = list(known)
    right = {name.casefold() for name in known}
    for name in names:
        if name.casefold() in _CANONICAL or name.casefold() in right:
            continue
        guess = nearest(name, [*known, *ALIASES], cutoff=0.75)
        if guess:
            raise UserError(f"Unknown band {name!r}. Did you mean {guess!r}? Known bands: {', '.join(ALIASES)}.")
