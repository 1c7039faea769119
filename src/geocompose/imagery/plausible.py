"""Which values a unit can have, which are odd, and what odd ones look like."""

from collections.abc import Mapping
from dataclasses import dataclass

from geocompose.imagery.bands import BANDS, canonical


@dataclass(frozen=True)
class Range:
    """Values that are usual in a unit.

    low, high: beyond them a value is odd. far_low, far_high: beyond them even a single one is said. below, above: what
    values look like of which most are beyond low, or high. small: what values look like of which none is above `tiny`.
    impossible: why a value beyond low or high can't be in this unit; None where it can.
    """

    low: float
    high: float
    far_low: float
    far_high: float
    below: str | None = None
    above: str | None = None
    tiny: float | None = None
    small: str | None = None
    impossible: str | None = None


# Clouds, snow and glint reach about 1.6 of reflectance, saturated Sentinel-2 pixels 6.55; corrections leave dark water
# a little below 0. Radar of -60 dB is below any sensor's noise, and corner reflectors reach 30 dB.
RANGES: Mapping[str, Range] = {
    "reflectance": Range(-0.1, 2, -1, 10, above="reflectance_1e4 or dn"),
    "reflectance_1e4": Range(-1000, 20_000, -10_000, 100_000, tiny=2, small="reflectance"),
    "dn": Range(0, 65_535, -1, 1e6, tiny=2, small="reflectance"),
    "db": Range(-60, 40, -200, 200, below=None, above="power"),
    "power": Range(-0.01, 1000, -1, 1e6, below="db"),
    "uint8": Range(0, 255, 0, 255, tiny=1, small="colours divided by 255", impossible="8-bit colours are 0 to 255"),
}
_LONGEST_REFLECTED_UM = 3.0


def range_of(unit: str | None, band: str) -> Range | None:
    """Return what is usual in a unit; None where it is not stated, or means nothing of such a band."""
    if unit is None:
        return None
    known = BANDS.get(canonical(band))
    optical = known is None or (known.wavelength_um is not None and known.wavelength_um <= _LONGEST_REFLECTED_UM)
    # Radar, heights and temperatures may stand among bands of reflectance.
    return RANGES[unit] if optical or unit in ("db", "power", "uint8") else None
