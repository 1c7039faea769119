"""What a producer added to the values of each image, where it differs: by the image's date, or in a table.

That of the files' own tags is read with their headers: `geocompose.imagery.file_values`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from geocompose.data.files.coordinate_tables import image_rows, is_table, numbered_columns
from geocompose.errors import UserError
from geocompose.imagery.units import DN_SCALE, Values

# Sentinel-2 images of processing baseline 04.00 on have 1000 added to their digital numbers. ESA processed all images
# from this date on with it. Source: ESA, Copernicus Sentinel-2 processing baseline 04.00, deployed on 2022-01-25.
BASELINE_0400 = (2022, 24)  # year, and day of the year from 0
ADDED_SINCE = 1000.0


def by_date(dates: np.ndarray, values: Values, where: str) -> tuple[float, ...]:
    """Return what was added to a Sentinel-2 image by the dates of its frames, in the unit of its values.

    dates: float32 (frames, 2), year and day of the year from 0.

    Raises:
        UserError: a date is not known.
    """
    if np.isnan(dates).any():
        raise UserError(
            f"{where}: its date is not known, so that {values.group}.offset=date can't say what was added. Fill it in, "
            "or write a table FILE.csv with the offset of each image."
        )
    added = ADDED_SINCE / DN_SCALE if values.unit == "reflectance" else ADDED_SINCE
    return tuple(added if tuple(map(int, when)) >= BASELINE_0400 else 0.0 for when in dates)


def in_table(
    path: Path, names: Sequence[str], file_column: str, *, num_frames: int, group: str
) -> list[tuple[float, ...]]:
    """Return what was added to each image by the column `offset` of a table, or `offset_1`, ... of several frames.

    Raises:
        UserError: a column is missing, an image has no row, or a cell is not a number.
    """
    columns = numbered_columns("offset", num_frames)
    rows = image_rows(path, names, file_column, columns)
    return [tuple(_number(row, column, where, group) for column in columns) for where, row in rows]


def is_by_image(values: Values) -> bool:
    """Return whether the offset is found image by image, and not in the files' tags."""
    return values.offset == "date" or (isinstance(values.offset, str) and is_table(values.offset))


def _number(row: Mapping[str, str], column: str, where: str, group: str) -> float:
    try:
        number = float(row[column])
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise UserError(
            f"{where}: {column} is {row[column]!r}. {group}.offset takes what was added to the image's values: a "
            "number, 0 where nothing was."
        )
    return number
