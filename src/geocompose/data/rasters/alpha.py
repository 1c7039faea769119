"""Alpha bands: which bands of a file are the image's, and which only say where it is valid."""

from collections.abc import Sequence
from typing import NamedTuple

from geocompose.data.rasters.header import Header


class BandsAndAlpha(NamedTuple):
    """The bands of a file, counted from 0, in file order.

    bands: those of the image. alpha: those that say where it is valid. remarks: what is to be said of that.
    """

    bands: list[int]
    alpha: list[int]
    remarks: list[str]


def without_alpha(header: Header, names: Sequence[str | None]) -> BandsAndAlpha:
    """Return which bands of a file are its image's.

    GDAL flags the fourth of four 8-bit bands as alpha unless it is told otherwise, and a near infrared band so named is
    none: a flagged band that has a name, other than `alpha`, is the image's. So is one beside which there is no other.

    names: those of all bands, None or empty where one has none.
    """
    alpha = [band for band in header.alpha if (names[band] or "alpha").casefold() == "alpha"]
    if len(alpha) == header.count:
        alpha = []
    remarks = []
    if alpha:
        says = "is an alpha band: it says" if len(alpha) == 1 else "are alpha bands: they say"
        remarks.append(f"{_numbered(alpha)} {says} which pixels hold data; the image's bands are the others.")
    named = [band for band in header.alpha if band not in alpha and names[band]]
    if named:
        called = ", ".join(str(names[band]) for band in named)
        remarks.append(f"{_numbered(named)} is flagged as alpha in the file, but read as the band {called}.")
    return BandsAndAlpha([band for band in range(header.count) if band not in alpha], alpha, remarks)


def _numbered(bands: Sequence[int]) -> str:
    return f"band{'s' if len(bands) > 1 else ''} {', '.join(str(band + 1) for band in bands)}"
