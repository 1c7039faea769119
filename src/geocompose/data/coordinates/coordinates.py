"""When and where images were taken, by the rules of a data configuration: what travels beside the pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from geocompose.data.coordinates.dates import check_pattern, date_in_name, date_in_tags, parse_date, year_and_day
from geocompose.data.coordinates.positions import FixedPlace, Place, check_position, georeferenced
from geocompose.data.files.coordinate_tables import date_columns, image_rows, is_table
from geocompose.data.files.file_names import list_file
from geocompose.data.rasters.header import read_tags
from geocompose.data.rasters.scene import RasterScene
from geocompose.data.window import Window
from geocompose.errors import UserError, choices

_TABLE = "a table FILE.csv"
DATE_RULES, POSITION_RULES = ("file_name", "tags"), ("georeference",)


@dataclass(frozen=True)
class CoordinateRules:
    """How dates and positions of images are found.

    dates: `file_name`, `tags`, or a CSV file with the columns `file` and `date`, or `date_1`, `date_2`, ... where an
        image has several frames; None means that they are not given. date_pattern: see
        `geocompose.data.coordinates.dates.date_in_name`.
    positions: `georeference` (the centre of each sample by the raster's grid), or a CSV file with the columns `file`,
        `latitude` and `longitude` (degrees, WGS84); None means that they are not given.

    An empty cell of a table means that it is not known: the sample then has NaN, and no encoding is added.

    Raises:
        UserError: no such rule, or a pattern that would change nothing or does not say a date.
    """

    dates: str | None = None
    date_pattern: str | None = None
    positions: str | None = None

    def __post_init__(self) -> None:
        for key, value, rules in (("dates", self.dates, DATE_RULES), ("positions", self.positions, POSITION_RULES)):
            if value is not None and value not in rules and not is_table(value):
                raise UserError(f"data.{key} has no {value!r}. {choices(value, [*rules, _TABLE, 'null'])}")
        if self.date_pattern is not None:
            if self.dates != "file_name":
                raise UserError(
                    f"data.date_pattern={self.date_pattern} would change nothing: it is for data.dates=file_name. "
                    "Leave one of them out, or write both."
                )
            check_pattern(self.date_pattern, "data.date_pattern")


@dataclass(frozen=True)
class Coordinates:
    """When and where each scene of a data set was taken.

    dates: for each scene float32 (frames, 2), year and day of the year from 0; None where dates are not given.
    places: for each scene where it lies; None where positions are not given. NaN where it is not known.
    """

    dates: Sequence[np.ndarray] | None = None
    places: Sequence[Place] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What is given: any of `time` and `location`."""
        given = {"time": self.dates, "location": self.places}
        return tuple(name for name, value in given.items() if value is not None)

    def of(self, scene: int, window: Window) -> dict[str, np.ndarray]:
        """Return what is given of a window of a scene, by its name in batches.

        `temporal_coords` is float32 (frames, 2), year and day of the year from 0; `location_coords` float32 (2),
        latitude and longitude in degrees (WGS84).
        """
        sample = {}
        if self.dates is not None:
            sample["temporal_coords"] = self.dates[scene]
        if self.places is not None:
            sample["location_coords"] = np.array(self.places[scene].at(window), dtype=np.float32)
        return sample


def read_coordinates(
    scenes: Sequence[RasterScene],
    root: Path,
    rules: CoordinateRules,
    *,
    num_frames: int = 1,
    file_column: str = "file",
) -> Coordinates:
    """Return when and where the scenes were taken; names, tags and headers are read, but no pixel.

    root: the data set's folder, relative to which tables and images are named. file_column: the column of image names
        in tables.

    Raises:
        UserError: a name, tag, cell or georeference gives no date or position; says where, and what to write.
    """
    dates = dates_of(scenes, root, rules, num_frames, file_column) if rules.dates is not None else None
    places = _places(scenes, root, rules.positions, file_column) if rules.positions is not None else None
    return Coordinates(dates, places)


def as_frames(dates: Sequence[date | None]) -> np.ndarray:
    """Return the dates of an image's frames as batches hold them: float32 (frames, 2), NaN where one is not known."""
    return np.array([(np.nan, np.nan) if when is None else year_and_day(when) for when in dates], dtype=np.float32)


def dates_in_row(row: Mapping[str, str], where: str, columns: Sequence[str]) -> np.ndarray:
    """Return the dates in these columns of a table's row, one per frame, as batches hold them; NaN for an empty cell.

    Raises:
        UserError: a cell is not a date; `where` begins the message.
    """
    return as_frames([parse_date(row[name], f"{where}: {name}") if row[name] else None for name in columns])


def dates_of(
    scenes: Sequence[RasterScene], root: Path, rules: CoordinateRules, num_frames: int, file_column: str
) -> list[np.ndarray]:
    """Return when each scene was taken, as `Coordinates.dates`.

    Raises:
        UserError: see `read_coordinates`.
    """
    assert rules.dates is not None
    columns = date_columns(num_frames)
    if is_table(rules.dates):
        path = list_file(root, rules.dates, "data.dates")
        rows = image_rows(path, [scene.name for scene in scenes], file_column, columns)
        return [dates_in_row(row, where, columns) for where, row in rows]
    if num_frames > 1:
        raise UserError(
            f"data.dates={rules.dates} gives one date per image, and an image has {num_frames} frames "
            f"(data.num_frames). Write the dates into a table with the columns {file_column}, {', '.join(columns)}, "
            "and data.dates=FILE.csv."
        )
    others = "data.dates=tags, " if rules.dates == "file_name" else "data.dates=file_name, "
    pattern = " say where it stands with data.date_pattern, such as '*_%Y%m%d_*';" if rules.dates == "file_name" else ""
    advice = f"If it has one,{pattern} else write {others}a table (data.dates=FILE.csv), or null."
    if rules.dates == "tags":
        return [
            as_frames([date_in_tags(read_tags(scene.image.path), str(scene.image.path), advice=advice)])
            for scene in scenes
        ]
    return [
        as_frames([date_in_name(Path(scene.image.path).as_posix(), rules.date_pattern, advice=advice)])
        for scene in scenes
    ]


def _places(scenes: Sequence[RasterScene], root: Path, rule: str, file_column: str) -> list[Place]:
    if is_table(rule):
        path = list_file(root, rule, "data.positions")
        rows = image_rows(path, [scene.name for scene in scenes], file_column, ["latitude", "longitude"])
        return [place_in_row(row, where) for where, row in rows]
    advice = "Write the positions into a table (data.positions=FILE.csv), or set data.positions=null."
    return [georeferenced(scene.crs, scene.transform, scene.name, advice=advice) for scene in scenes]


def place_in_row(row: Mapping[str, str], where: str) -> FixedPlace:
    """Return the position in a row of a table, NaN where its cells are empty.

    Raises:
        UserError: one cell is empty, is not a number or is out of range; `where` begins the message.
    """
    cells = [row["latitude"], row["longitude"]]
    if not any(cells):
        return FixedPlace(np.nan, np.nan)
    if not all(cells):
        raise UserError(f"{where}: latitude is {cells[0]!r} and longitude {cells[1]!r}. Fill in both, or neither.")
    try:
        latitude, longitude = map(float, cells)
    except ValueError as error:
        raise UserError(
            f"{where}: latitude {cells[0]!r} and longitude {cells[1]!r} must be numbers, in degrees such as -33.86."
        ) from error
    check_position(latitude, longitude, where)
    return FixedPlace(latitude, longitude)
