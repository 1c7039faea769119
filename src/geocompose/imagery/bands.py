"""The vocabulary of spectral bands: one name per band, the names that sensors and archives use, what it measures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from geocompose.errors import UserError, choices, nearest
from geocompose.imagery.sensors import SENSORS, Measurement


@dataclass(frozen=True)
class Band:
    """A band: the vocabulary's name, STAC's common name, and all other names in use.

    sensors: what each sensor measures under this name; empty for a band without wavelength, such as an elevation.
    """

    name: str
    common_name: str | None
    aliases: tuple[str, ...]
    sensors: Mapping[str, Measurement]

    @property
    def wavelength_um(self) -> float | None:
        """Centre wavelength: Sentinel-2's where it has the band, else that of the first of `SENSORS` that does."""
        measured = self._first
        return measured.wavelength_um if measured else None

    @property
    def bandwidth_um(self) -> float | None:
        """Full width at half maximum, of the same sensor; None for radar and for what has no wavelength."""
        measured = self._first
        return measured.bandwidth_um if measured else None

    @property
    def gsd_m(self) -> float | None:
        """Ground sampling distance of the same sensor."""
        measured = self._first
        return measured.gsd_m if measured else None

    @property
    def _first(self) -> Measurement | None:
        return next(iter(self.sensors.values()), None)


# Name -> STAC's common name, other names in use. Prithvi's and TerraTorch's names are the canonical ones; Sentinel-2's
# are aliases, those of STAC's and of the Landsat archive too. B8 (NIR_BROAD) and B8A (NIR_NARROW) are different bands
# and never stand for each other. A number alone is Sentinel-2's, since Landsat's B5 is another band: Landsat's are
# L8_B5 or SR_B5.
_ROWS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "COASTAL_AEROSOL": ("coastal", ("B1", "B01", "L8_B1", "SR_B1", "ULTRA_BLUE")),
    "BLUE": ("blue", ("B2", "B02", "L8_B2", "SR_B2")),
    "GREEN": ("green", ("B3", "B03", "L8_B3", "SR_B3")),
    "RED": ("red", ("B4", "B04", "L8_B4", "SR_B4")),
    "RED_EDGE_1": ("rededge071", ("B5", "B05", "REDEDGE1")),
    "RED_EDGE_2": ("rededge075", ("B6", "B06", "REDEDGE2")),
    "RED_EDGE_3": ("rededge078", ("B7", "B07", "REDEDGE3")),
    "NIR_BROAD": ("nir", ("B8", "B08")),
    "NIR_NARROW": ("nir08", ("B8A", "B08A", "L8_B5", "SR_B5")),
    "WATER_VAPOR": ("nir09", ("B9", "B09", "WATER_VAPOUR")),
    "CIRRUS": ("cirrus", ("B10", "L8_B9")),
    "SWIR_1": ("swir16", ("B11", "SWIR1", "L8_B6", "SR_B6")),
    "SWIR_2": ("swir22", ("B12", "SWIR2", "L8_B7", "SR_B7")),
    "PAN": ("pan", ("L8_B8", "PANCHROMATIC")),
    # TerraTorch's enumeration misspells these two; its configs hold them so.
    "THERMAL_1": ("lwir11", ("L8_B10", "ST_B10", "THERMAL_INFRARED_1", "THEMRAL_INFRARED_1")),
    "THERMAL_2": ("lwir12", ("L8_B11", "THERMAL_INFRARED_2", "THEMRAL_INFRARED_2")),
    "VV": (None, ()),
    "VH": (None, ()),
    "HH": (None, ()),
    "HV": (None, ()),
    "DEM": (None, ()),
}
BANDS: Mapping[str, Band] = {
    name: Band(
        name,
        common,
        (*aliases, *([common] if common and common.casefold() != name.casefold() else [])),
        {sensor: measured[name] for sensor, measured in SENSORS.items() if name in measured},
    )
    for name, (common, aliases) in _ROWS.items()
}
_CANONICAL = {alias.casefold(): name for name, band in BANDS.items() for alias in (name, *band.aliases)}

# Harmonized Landsat Sentinel-2, in the order in which Prithvi was pretrained.
HLS_BANDS = ("BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2")


def band(name: str) -> Band:
    """Return what the vocabulary knows of a band, by any of its names.

    Raises:
        UserError: the vocabulary lacks it.
    """
    if not is_known(name):
        raise UserError(f"The vocabulary has no band {name!r}. {choices(name, BANDS)}")
    return BANDS[_CANONICAL[name.casefold()]]


def wavelength_um(name: str, sensor: str | None = None) -> float | None:
    """Return the centre wavelength of a band as `sensor` measures it; see `Band.wavelength_um` where that is None.

    None for a band without wavelength. Radar's are physical, 5.5 cm for Sentinel-1: models that take another number for
    a radar channel (DOFA's) have to bring it.

    Raises:
        UserError: the vocabulary lacks the band or the sensor, or the sensor lacks the band.
    """
    found = band(name)
    if sensor is None:
        return found.wavelength_um
    if sensor not in SENSORS:
        raise UserError(f"The vocabulary has no sensor {sensor!r}. {choices(sensor, SENSORS)}")
    if sensor not in found.sensors:
        raise UserError(f"{sensor} has no band {found.name}; it has {', '.join(SENSORS[sensor])}.")
    return found.sensors[sensor].wavelength_um


def is_known(name: str) -> bool:
    """Return whether the vocabulary has a band of this name."""
    return name.casefold() in _CANONICAL


def canonical(name: str) -> str:
    """Return the vocabulary's name of a band (`B8A` -> `NIR_NARROW`), or `name` itself where it lacks the band."""
    return _CANONICAL.get(name.casefold(), name)


def positions(wanted: Sequence[str], available: Sequence[str], *, where: str, advice: str = "") -> list[int]:
    """Return for each wanted band its place in `available`; names are compared through the vocabulary.

    `where` says in the error whose bands these are, such as "the data"; `advice` what to do about a missing one.

    Raises:
        UserError: a band is wanted that is not there, or wanted twice; names the nearest one that is there.
    """
    place = {canonical(name): i for i, name in enumerate(available)}
    missing = [name for name in wanted if canonical(name) not in place]
    if missing:
        guess = nearest(missing[0], [*available, *place]) if len(missing) == 1 else None
        hint = f"Did you mean {guess!r}? " if guess else ""
        there = ", ".join(name if canonical(name) == name else f"{name} ({canonical(name)})" for name in available)
        raise UserError(
            f"{where} has no band {', '.join(map(repr, missing))}. {hint}It has: {there}.{advice and f' {advice}'}"
        )
    found = [place[canonical(name)] for name in wanted]
    if len(set(found)) < len(found):
        raise UserError(f"A band is asked for twice in {list(wanted)}: name each band once.")
    return found


def check_names(names: Iterable[str], *, known: Iterable[str] = (), advice: str | None = None) -> None:
    """Refuse a band name that looks like a misspelt one of the vocabulary or of `known`.

    A name that resembles nothing is a band of your own and passes. advice: what to do; None lists the vocabulary.

    Raises:
        UserError: names the misspelt band and the nearest right one.
    """
    known = list(known)
    right = {name.casefold() for name in known}
    for name in names:
        if name.casefold() in _CANONICAL or name.casefold() in right:
            continue
        guess = nearest(name, [*known, *BANDS], cutoff=0.75)
        if guess:
            what = advice or f"Known bands: {', '.join(BANDS)}."
            raise UserError(f"Unknown band {name!r}. Did you mean {guess!r}? {what}")


def band_names(argument: str, given: Iterable[object]) -> list[str]:
    """Return the names of bands, each once; `argument` says in errors where they were given.

    given: names, or enumeration members with such values (TerraTorch's `HLSBands.RED`).

    Raises:
        UserError: the list is empty, or one is misspelt, given twice, or not a name.
    """
    if isinstance(given, str):
        raise UserError(f"{argument} must be a list of band names, such as [BLUE, GREEN, RED]; got {given!r}.")
    refuse_modalities(argument, given)
    names = []
    for band in given:
        name = band.value if isinstance(band, Enum) else band
        if not isinstance(name, str):
            raise UserError(
                f"{argument} takes names of bands, such as [BLUE, GREEN, RED]; got {name!r}, which does not say which "
                "band it is."
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
