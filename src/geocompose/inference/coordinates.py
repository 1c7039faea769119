"""When and where that was taken which is predicted: found as in training, or as the user says."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geocompose.data.coordinates.coordinates import (
    DATE_RULES,
    POSITION_RULES,
    Coordinates,
    as_frames,
    dates_in_row,
    place_in_row,
)
from geocompose.data.coordinates.dates import date_in_name, date_in_tags, parse_date
from geocompose.data.coordinates.positions import FixedPlace, Place, check_position, georeferenced
from geocompose.data.files.coordinate_tables import date_columns, image_rows, is_table
from geocompose.data.rasters.file import RasterPath
from geocompose.data.rasters.header import read_header, read_tags
from geocompose.errors import UserError, counted

if TYPE_CHECKING:
    from torch import Tensor

NONE = "none"  # what is not known: the encoding is off
_DATES_ADVICE = "Write action.date=2022-01-15 with the date of the image, or action.date=none where it is not known."
_PLACES_ADVICE = "Write 'action.position=[LATITUDE,LONGITUDE]', or action.position=none where it is not known."


class CoordinateReader:
    """Finds dates and positions of images, those that a run was trained with.

    given: any of `time` and `location`, what the run's data gave. data: the run's data configuration, whose rules hold.
    names: of all images, as a table calls them. num_frames: time steps of an image.
    dates: in place of the run's rule: the date of all images (one per frame), `file_name`, `tags`, a CSV file with the
        columns `file` and `date`, or `none`. position: likewise [latitude, longitude] in degrees, `georeference`, a CSV
        file with `file`, `latitude` and `longitude`, or `none`.

    Raises:
        UserError: it would change nothing, or is not a date or position; or the run's rule was a table, which says
        nothing of other images.
    """

    def __init__(
        self,
        given: Sequence[str],
        data: Mapping[str, Any],
        names: Sequence[str],
        *,
        num_frames: int = 1,
        dates: str | list[str] | None = None,
        position: str | list[float] | None = None,
    ) -> None:
        for key, asked, name, words in (
            ("date", dates, "time", "dates"),
            ("position", position, "location", "positions"),
        ):
            if asked is not None and name not in given:
                raise UserError(
                    f"action.{key}={asked} would change nothing: the run was trained without {words}. Leave it out."
                )
        self._num_frames = num_frames
        self._pattern = data.get("date_pattern")
        self._dates, self._dates_by_name = self._date_rule(given, data, names, dates)
        self._place, self._places_by_name = self._position_rule(given, data, names, position)

    def of(self, name: str, path: RasterPath) -> Coordinates:
        """Return when and where a raster was taken; it is the scene 0.

        Raises:
            UserError: its name, tags or georeference do not say.
        """
        return Coordinates(self._dates_of(name, path), self._places_of(name, path))

    def _date_rule(
        self, given: Sequence[str], data: Mapping[str, Any], names: Sequence[str], asked: str | list[str] | None
    ) -> tuple[str | np.ndarray | None, dict[str, np.ndarray]]:
        if "time" not in given:
            return None, {}
        rule = data.get("dates") if asked is None else asked
        if asked is None and (not isinstance(rule, str) or is_table(rule)):
            raise UserError(
                f"The run was trained with dates out of a table (data.dates={rule}), which says nothing of other "
                f"images. {self._dates_wanted()}"
            )
        if isinstance(rule, str) and is_table(rule):
            columns = date_columns(self._num_frames)
            rows = image_rows(_table(rule, "date"), names, "file", columns)
            return None, {
                name: dates_in_row(row, where, columns) for name, (where, row) in zip(names, rows, strict=True)
            }
        if rule in DATE_RULES:
            if self._num_frames > 1:
                raise UserError(
                    f"action.date={rule} gives one date; an image of this run has {self._num_frames} "
                    f"(data.num_frames). {self._dates_wanted()}"
                )
            return str(rule), {}
        texts = [rule] if isinstance(rule, str) else list(rule or ())
        if texts == [NONE]:
            texts = [NONE] * self._num_frames
        if len(texts) != self._num_frames:
            given = ", ".join(texts)
            raise UserError(
                f"action.date=[{given}] has {counted(len(texts), 'date')}; an image of this run has {self._num_frames} "
                f"(data.num_frames). {self._dates_wanted()}"
            )
        return as_frames([_date_or_none(text) for text in texts]), {}

    def _dates_wanted(self) -> str:
        """Return what `action.date` may be."""
        table = f"a table FILE.csv with the columns {', '.join(('file', *date_columns(self._num_frames)))}"
        if self._num_frames == 1:
            return (
                f"Write action.date=2022-01-15 with the date of the image, file_name, tags, {table}, or none where it "
                "is not known."
            )
        return (
            "Write 'action.date=[2022-01-15,2022-02-14,...]' with the date of each frame, or none for one that is not "
            f"known, or {table}."
        )

    def _position_rule(
        self, given: Sequence[str], data: Mapping[str, Any], names: Sequence[str], asked: str | list[float] | None
    ) -> tuple[str | Place | None, dict[str, Place]]:
        if "location" not in given:
            return None, {}
        rule = data.get("positions") if asked is None else asked
        if asked is None and (not isinstance(rule, str) or is_table(rule)):
            raise UserError(
                f"The run was trained with positions out of a table (data.positions={rule}), which says nothing of "
                "other images. Write 'action.position=[LATITUDE,LONGITUDE]', georeference, a table FILE.csv with the "
                "columns file, latitude, longitude, or none where it is not known."
            )
        if isinstance(rule, str) and is_table(rule):
            rows = image_rows(_table(rule, "position"), names, "file", ["latitude", "longitude"])
            return None, {name: place_in_row(row, where) for name, (where, row) in zip(names, rows, strict=True)}
        if rule in POSITION_RULES:
            return str(rule), {}
        if rule == NONE:
            return FixedPlace(np.nan, np.nan), {}
        if isinstance(rule, str) or len(list(rule or ())) != 2:
            raise UserError(
                f"action.position={rule} is [LATITUDE,LONGITUDE] in degrees, such as [-33.86,151.2], georeference, a "
                "table FILE.csv, or none."
            )
        latitude, longitude = map(float, rule or ())
        check_position(latitude, longitude, "action.position")
        return FixedPlace(latitude, longitude), {}

    def _dates_of(self, name: str, path: RasterPath) -> list[np.ndarray] | None:
        if name in self._dates_by_name:
            return [self._dates_by_name[name]]
        if not isinstance(self._dates, str):
            return None if self._dates is None else [self._dates]
        if self._dates == "file_name":
            return [as_frames([date_in_name(str(path), self._pattern, advice=_DATES_ADVICE)])]
        return [as_frames([date_in_tags(read_tags(path), str(path), advice=_DATES_ADVICE)])]

    def _places_of(self, name: str, path: RasterPath) -> list[Place] | None:
        if name in self._places_by_name:
            return [self._places_by_name[name]]
        if not isinstance(self._place, str):
            return None if self._place is None else [self._place]
        header = read_header(path)
        return [georeferenced(header.crs, header.transform, str(path), advice=_PLACES_ADVICE)]


def stacked(samples: Sequence[Mapping[str, np.ndarray]]) -> "dict[str, Tensor]":
    """Return the coordinates of several samples as one batch; all samples have the same."""
    import torch  # dates and positions are checked before it is loaded

    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}


def _date_or_none(text: str) -> date | None:
    return None if text == NONE else parse_date(text, "action.date")


def _table(name: str, key: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise UserError(f"action.{key}={name}: there is no such file.")
    return path
