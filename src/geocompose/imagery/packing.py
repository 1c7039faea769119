"""The scale, offset and unit that a file carries of each band: GDAL's tags, and what they mean."""

import math
from dataclasses import dataclass

from geocompose.imagery.bands import BANDS, canonical

# Texts that files have for a unit, in lower case. Others, such as `m` or `K`, are units that no rule knows.
_UNITS = {
    **dict.fromkeys(("db", "decibel", "decibels"), "db"),
    **dict.fromkeys(("power", "linear power", "linear"), "power"),
    **dict.fromkeys(("reflectance", "surface reflectance", "toa reflectance"), "reflectance"),
}
# Texts that say nothing of the values: they have no dimension, or are not physical.
_EMPTY = ("", "1", "-", "none", "unitless", "dimensionless", "dn", "digital number", "digital numbers", "counts")
# Scales of packed reflectance: 0.0001 of Sentinel-2, HLS and MODIS, 0.0000275 of Landsat's Collection 2, 0.00002 of its
# Level-1 products.
_SCALES_OF_REFLECTANCE = (1e-6, 1e-3)
_LONGEST_REFLECTED_UM = 3.0  # beyond it the ground emits more than it reflects of sunlight
_ALIKE = 1e-4  # relative; tags pass through text and float32


@dataclass(frozen=True)
class Packing:
    """What a file says of a band: stored x scale + offset is its value, in `unit` (the file's own text).

    A file without these tags has 1, 0 and no text.
    """

    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""

    @classmethod
    def of_tags(cls, scale: float, offset: float, unit: str | None) -> "Packing":
        """Return what GDAL gives of a band; digits beyond those of float32 are none of the tag's."""
        return cls(float(f"{scale:.7g}"), float(f"{offset:.7g}"), unit or "")

    @property
    def is_given(self) -> bool:
        """Whether stored numbers become others by it."""
        return (self.scale, self.offset) != (1.0, 0.0)

    @property
    def is_possible(self) -> bool:
        """Whether numbers can be packed like this."""
        return math.isfinite(self.scale) and math.isfinite(self.offset) and self.scale != 0

    @property
    def added(self) -> float:
        """What was added to each stored number."""
        return float(f"{-self.offset / self.scale:.10g}") + 0.0  # 0, not -0

    @property
    def named_unit(self) -> str | None:
        """The unit that the text means: one of ours, the text itself where it is another; None where it says nothing.

        See `geocompose.imagery.units.UNITS`.
        """
        text = self.unit.strip().casefold()
        return None if text in _EMPTY else _UNITS.get(text, self.unit.strip())

    def makes_reflectance(self, band: str) -> bool:
        """Return whether the values are plainly reflectance: by their unit, or by a usual scale of such a band."""
        if self.named_unit is not None:
            return self.named_unit == "reflectance"
        known = BANDS.get(canonical(band))
        if known is None or known.wavelength_um is None or known.wavelength_um > _LONGEST_REFLECTED_UM:
            return False
        least, most = _SCALES_OF_REFLECTANCE
        return least <= self.scale <= most and -1 <= self.offset <= 0

    def in_words(self) -> str:
        """Return the tags as a message shows them."""
        return f"scale {self.scale:.7g}, offset {self.offset:.7g}"


def alike(one: float, other: float) -> bool:
    """Return whether two numbers are equal but for the rounding of tags."""
    return math.isclose(one, other, rel_tol=_ALIKE, abs_tol=1e-9)
