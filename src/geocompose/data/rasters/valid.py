"""What a model can be given of the values of a raster: real and finite ones."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from geocompose.data.rasters.file import RasterPath
from geocompose.data.window import Window
from geocompose.errors import UserError, counted
from geocompose.imagery.units import Conversion


class Origin(NamedTuple):
    """Where a band comes from, for errors.

    file: its name. declare: how a user declares that a value, `{}` in this text, is nodata there.
    """

    file: str
    declare: str


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


def check_finite(
    image: np.ndarray,
    valid: np.ndarray,
    *,
    bands: Sequence[str],
    origin_of: Callable[[int], Origin],
    window: Window,
    read_as: np.ndarray | None = None,
    conversions: Sequence[Conversion] | None = None,
) -> None:
    """Refuse NaN and infinity in valid pixels: they would make every weight of a model NaN, or its answer.

    image: (bands, [frames,] height, width), the pixels of `window`. valid: (height, width).
    bands: their names. origin_of: where one of them comes from. conversions: what was done to the values of each.
    read_as: what the model gets of the image, normalised; where that is too large for float32, it is refused likewise.

    Raises:
        UserError: says where the first such value is, and how many are near.
    """
    wrong = ~np.isfinite(image if read_as is None else read_as) & valid
    if not wrong.any():
        return
    found = counted(int(wrong.sum()), "such value")
    place = tuple(int(number) for number in np.argwhere(wrong)[0])
    band, row, column = place[0], place[-2], place[-1]
    value, origin = image[place], origin_of(band)
    conversion = conversions[band] if conversions else None
    changed = f" (after conversion to {conversion.unit})" if conversion and conversion.changes else ""
    frame = f" of frame {place[1] + 1}" if len(place) == 4 else ""
    advice = (
        "Fix the file."
        if changed
        else f"If such pixels hold no data, declare it ({origin.declare.format(value)}); else fix the file."
    )
    raise UserError(
        f"{origin.file} has the value {value}{changed} in band {bands[band]!r}{frame} at row {window.row + row}, "
        f"column {window.column + column} (counted from 0; {found} in this window), which is not "
        f"declared nodata. {advice}"
    )
