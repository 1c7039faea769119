"""Which values of a raster count: those that are real, finite and not declared as nodata."""

from collections.abc import Callable, Sequence

import numpy as np

from geocompose.data.rasters.file import RasterPath
from geocompose.data.window import Window
from geocompose.errors import UserError, counted
from geocompose.imagery.units import Conversion


def check_real(path: RasterPath, dtypes: Sequence[str], bands: Sequence[int]) -> None:
    """Refuse to read bands (counted from 0) of complex numbers: a cast to float would keep their real part alone.

    Raises:
        UserError: names the types.
    """
    found = sorted({dtypes[band] for band in bands if dtypes[band].startswith("complex")})
    if found:
        raise UserError(
            f"{path} holds complex numbers ({', '.join(found)}). "
            "Write its amplitude or intensity to a raster of real numbers first."
        )


def equals(values: np.ndarray, nodata: float | None) -> np.ndarray | None:
    """Return where `values` are `nodata` (NaN included), or None where they can't be."""
    if nodata is None:
        return None
    if np.isnan(nodata):
        return np.isnan(values) if np.issubdtype(values.dtype, np.floating) else None
    if np.issubdtype(values.dtype, np.floating):
        # A file declares nodata as a double; in a float32 raster its pixels hold the nearest float32.
        with np.errstate(over="ignore"):
            return values == values.dtype.type(nodata)
    return values == nodata


def valid_pixels(planes: np.ndarray, nodata: Sequence[float | None]) -> np.ndarray:
    """Return where none of the planes (planes, height, width) is nodata, bool (height, width).

    planes: as they are stored, before any conversion. nodata: one per plane.
    """
    valid = np.ones(planes.shape[1:], dtype=bool)
    for plane, value in zip(planes, nodata, strict=True):
        is_nodata = equals(plane, value)
        if is_nodata is not None:
            valid &= ~is_nodata
    return valid


def check_finite(
    image: np.ndarray,
    valid: np.ndarray,
    *,
    bands: Sequence[str],
    file_of: Callable[[int], object],
    window: Window,
    nodata_key: str,
    conversions: Sequence[Conversion] | None = None,
) -> None:
    """Refuse NaN and infinity in valid pixels: they would make every weight of a model NaN, or its answer.

    image: (bands, [frames,] height, width), the pixels of `window`. valid: (height, width).
    bands: their names. file_of: which file has one of them. conversions: what was done to the values of each.
    nodata_key: where the configuration declares nodata.

    Raises:
        UserError: says where the first such value is, and how many are near.
    """
    wrong = ~np.isfinite(image) & valid
    if not wrong.any():
        return
    found = counted(int(wrong.sum()), "such value")
    place = tuple(int(number) for number in np.argwhere(wrong)[0])
    band, row, column = place[0], place[-2], place[-1]
    value = image[place]
    conversion = conversions[band] if conversions else None
    changed = f" (after conversion to {conversion.unit})" if conversion and conversion.changes else ""
    frame = f" of frame {place[1] + 1}" if len(place) == 4 else ""
    advice = (
        f"If NaN marks missing pixels, declare it with {nodata_key}=nan; else fix the file."
        if np.isnan(value)
        else f"Fix the file, or write a finite nodata value in its place and declare it ({nodata_key})."
    )
    raise UserError(
        f"{file_of(band)} has the value {value}{changed} in band {bands[band]!r}{frame} at row {window.row + row}, "
        f"column {window.column + column} (counted from 0; {found} in this window), which is not "
        f"declared nodata. {advice}"
    )
