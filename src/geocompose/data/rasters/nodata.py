"""Values that stand for missing data: which of them a type can hold, and where pixels have them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

Number = int | float

# What producers write for "missing" in floating point, beside NaN: the largest numbers of both types, NetCDF's default.
# Written as text with few digits, a declared value misses the pixels' own: -3.4e38 is not -3.4028235e38.
_USUAL_FILLS = (float(np.finfo(np.float32).max), float(np.finfo(np.float64).max), 9.969209968386869e36)
_ROUNDING = 2e-3  # by how much of itself a value of few digits may miss the one that was meant


class Stored(NamedTuple):
    """A nodata value as pixels of some type have it.

    values: what such pixels hold; none where the type can't hold the value.
    remark: what is to be said of that; None where the type has the value itself.
    """

    values: tuple[Number, ...]
    remark: str | None = None


def stored(nodata: Number, dtype: str, what: str) -> Stored:
    """Return which values of a raster's type are nodata.

    what: how the remark calls the value, such as `the declared nodata value`.
    """
    if dtype.startswith("complex"):
        return Stored((nodata,))  # such pixels are refused when they are read
    if np.issubdtype(dtype, np.floating):
        return _as_float(float(nodata), dtype, what)
    return _as_whole(nodata, dtype, what)


def _as_whole(nodata: Number, dtype: str, what: str) -> Stored:
    least, most = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if np.isfinite(nodata) and int(nodata) == nodata:
        if least <= nodata <= most:
            return Stored((int(nodata),))
        nearest = most if nodata > 0 else least
        if float(nodata) == float(nearest):  # the largest 64-bit number, rounded by a double
            return Stored((nearest,), _near(what, nodata, dtype, nearest))
    return Stored((), _impossible(what, nodata, dtype))


def _as_float(nodata: float, dtype: str, what: str) -> Stored:
    kind = np.dtype(dtype).type
    with np.errstate(over="ignore"):
        own = float(kind(nodata))
        meant = {np.copysign(float(kind(fill)), nodata) for fill in _USUAL_FILLS if fill <= np.finfo(dtype).max}
    if not np.isfinite(nodata):
        return Stored((nodata,))
    for fill in meant:
        if own != fill and abs(nodata - fill) <= _ROUNDING * abs(fill):
            return Stored((fill, own) if np.isfinite(own) else (fill,), _near(what, nodata, dtype, fill))
    return Stored((own,)) if np.isfinite(own) else Stored((), _impossible(what, nodata, dtype))


def _near(what: str, nodata: Number, dtype: str, meant: Number) -> str:
    return f"{what} {_shown(nodata)} misses {_shown(meant)} of {dtype} by rounding: pixels with either hold no data."


def _impossible(what: str, nodata: Number, dtype: str) -> str:
    return f"{what} {_shown(nodata)} is not a value of {dtype}, so that no pixel has it."


def _shown(value: Number) -> str:
    return str(value) if isinstance(value, int) else f"{value:.10g}"


def where(values: np.ndarray, nodata: Iterable[Number]) -> np.ndarray | None:
    """Return where `values` are one of `nodata` (NaN included), or None where they can't be.

    nodata: values that the type has, see `stored`.
    """
    found: np.ndarray | None = None
    for value in nodata:
        # A file declares nodata as a double; in a float32 raster its pixels hold the nearest float32.
        there = np.isnan(values) if value != value else values == values.dtype.type(value)
        found = there if found is None else found | there
    return found


def united(masks: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Return where any of some masks is true; None where there is none."""
    found: np.ndarray | None = None
    for mask in masks:
        if mask is not None:
            found = mask if found is None else found | mask
    return found
