"""Tables of dates, positions and offsets: which files they are, and the row of each image. Opens no raster."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geocompose.data.files.file_names import SHOWN, FileLookup, archive_advice, list_file
from geocompose.data.files.image_files import read_table
from geocompose.errors import UserError, nearest, shortened

_KEYS = ("dates", "positions", "offset")


def is_table(rule: str) -> bool:
    """Return whether a rule is the name of a table."""
    return rule.lower().endswith(".csv")


def date_columns(num_frames: int) -> list[str]:
    """Return the columns of a table of dates, one per frame."""
    return numbered_columns("date", num_frames)


def numbered_columns(name: str, num_frames: int) -> list[str]:
    """Return the columns of a table that has something of each frame: `date`, or `date_1`, `date_2`, ..."""
    return [name] if num_frames == 1 else [f"{name}_{number}" for number in range(1, num_frames + 1)]


def tables(data: Mapping[str, Any], root: Path, group: str = "data") -> list[Path]:
    """Return the tables of dates, positions and offsets that a data configuration names.

    Raises:
        UserError: one is not there.
    """
    named = [(key, data.get(key)) for key in _KEYS]
    return [list_file(root, name, f"{group}.{key}") for key, name in named if isinstance(name, str) and is_table(name)]


def image_rows(
    path: Path, names: Sequence[str], file_column: str, wanted: Sequence[str]
) -> list[tuple[str, Mapping[str, str]]]:
    """Return for each image where its row stands, and the row; rows of other images are passed over.

    Raises:
        UserError: a column is missing, an image has no row or two, or a row may mean several images.
    """
    columns, lines = read_table(path)
    for name in (file_column, *wanted):
        if name not in columns:
            raise UserError(
                f"{path} has no column {name!r}. It takes {', '.join((file_column, *wanted))}; it has "
                f"{', '.join(columns)}."
            )
    lookup = FileLookup(names)
    rows: dict[int, tuple[str, Mapping[str, str]]] = {}
    for line, row in lines:
        places = lookup.find(row[file_column]).places
        where = f"{path}, line {line}"
        if len(places) > 1:
            there = shortened((names[place] for place in places), SHOWN)
            raise UserError(
                f"{where}: {row[file_column]!r} stands for several images: {there}. Write the path relative to "
                "data.root."
            )
        if places and places[0] in rows:
            raise UserError(f"{where}: the image {names[places[0]]} has a row already ({rows[places[0]][0]}).")
        if places:
            rows[places[0]] = where, row
    without = [name for place, name in enumerate(names) if place not in rows]
    if without:
        guess = nearest(without[0], [row[file_column] for _, row in lines], cutoff=0.75)
        hint = f" The nearest name in it: {guess!r}." if guess else ""
        hint = next((advice for _, row in lines if (advice := archive_advice(row[file_column]))), hint)
        more = f" and {len(without) - 1} more" if len(without) > 1 else ""
        raise UserError(
            f"{path} has no row for {without[0]}{more}.{hint} Add one for each image; an empty cell means that it is "
            "not known."
        )
    return [rows[place] for place in range(len(names))]
