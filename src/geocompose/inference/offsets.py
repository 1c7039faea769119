"""What a producer added to the values of images that are predicted, where that differs: by date, or in a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geocompose.data.coordinates.coordinates import as_frames
from geocompose.data.coordinates.dates import date_in_name, date_in_tags
from geocompose.data.offsets import by_date, in_table, is_by_image
from geocompose.data.rasters.file import RasterPath
from geocompose.data.rasters.header import read_tags
from geocompose.errors import UserError
from geocompose.imagery.units import Values

_ADVICE = "Write action.offset=NUMBER with what was added to the input's values, or a table FILE.csv."


class OffsetReader:
    """Finds what was added to the values of images, for each frame.

    values: what they are; the offset of some bands is `date`, or a CSV file with the columns `file` and `offset`. data:
    the run's data configuration, whose rule finds dates: in tags, if it is that, else in file names. images: name and
    path of all. num_frames: time steps of each.

    Raises:
        UserError: there is no such file or row, or a cell is not a number; or the images have several frames, and one
            date.
    """

    def __init__(
        self, values: Values, data: Mapping[str, Any], images: Sequence[tuple[str, RasterPath]], *, num_frames: int = 1
    ) -> None:
        self._in_tags, self._pattern = data.get("dates") == "tags", data.get("date_pattern")
        self._by_path: dict[str, tuple[float, ...]] = {}
        rules = {own.offset for own in (values, *(values.more or {}).values()) if is_by_image(own)}
        if is_by_image(values) and values.offset != "date":
            table = Path(str(values.offset)).expanduser()
            if not table.is_file():
                raise UserError(f"action.offset={values.offset}: there is no such file.")
            added = in_table(table, [name for name, _ in images], "file", num_frames=num_frames, group="action")
            self._by_path = {str(path): own for (_, path), own in zip(images, added, strict=True)}
        if "date" in rules and num_frames > 1:
            raise UserError(
                f"action.offset=date finds one date, and an image of this run has {num_frames} frames. {_ADVICE}"
            )

    def of(self, path: str, file: RasterPath, values: Values) -> tuple[float, ...]:
        """Return what was added to the frames of a raster.

        path: how the image was named. file: its first file. values: what those of the raster are.

        Raises:
            UserError: its name or tags have no single date.
        """
        if values.offset != "date":
            return self._by_path[path]
        if self._in_tags:
            when = date_in_tags(read_tags(file), path, advice=_ADVICE)
        else:
            when = date_in_name(path, self._pattern, advice=_ADVICE)
        return by_date(as_frames([when]), values, path)


def offset_reader(
    values: Values, data: Mapping[str, Any], images: Sequence[tuple[str, RasterPath]], num_frames: int
) -> OffsetReader | None:
    """Return what finds the offset of each image, or None where `values` says the same of all.

    Raises:
        UserError: see `OffsetReader`.
    """
    by_image = any(map(is_by_image, (values, *(values.more or {}).values())))
    return OffsetReader(values, data, images, num_frames=num_frames) if by_image else None
