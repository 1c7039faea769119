"""Which images belong together, such as those of one scene, event or region. Opens no raster."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from geocompose.data.files.coordinate_tables import image_rows, is_table
from geocompose.data.files.file_names import list_file
from geocompose.errors import UserError, choices, counted, shortened

log = logging.getLogger("geocompose")

COLUMN = "group"
_NAME = "{group}"


def group_table(folder: Path, rule: str | None) -> Path | None:
    """Return the table that `data.groups` names; None where it names none.

    Raises:
        UserError: it is not there.
    """
    return list_file(folder, rule, "data.groups") if rule is not None and is_table(rule) else None


def groups_of(
    names: Sequence[str],
    rule: str,
    table: Path | None,
    file_column: str = "file",
    rows: Sequence[Mapping[str, str]] | None = None,
) -> list[str]:
    """Return the group of each image; one whose cell is empty is a group of its own, which is said.

    names: paths relative to the data set's folder.
    rule: a pattern in which `{group}` stands for the group's name, such as '{group}_*.tif' (of the file's name) or
        '{group}/*/*.tif' (of the path): the shortest text that fits; or a table, given as `table`, with a column
        `group`; or a column of the table that lists the images. rows: the cells of that one.

    Raises:
        UserError: a pattern does not match an image, a table has no such column or no row for one.
    """
    if _NAME in rule:
        return [_matched(name, rule) for name in names]
    if table is not None:
        cells = [row[COLUMN] for _, row in image_rows(table, names, file_column, [COLUMN])]
    else:
        columns = list(rows[0]) if rows else []
        if rule not in columns or rows is None:
            there = f" {choices(rule, columns)}" if columns else ""
            raise UserError(
                f"data.groups must be a pattern with {_NAME} such as '{_NAME}_*.tif', a table FILE.csv with the "
                f"columns {file_column} and {COLUMN}, or a column of data.table; got {rule!r}.{there}"
            )
        cells = [row[rule] for row in rows]
    alone = [name for cell, name in zip(cells, names, strict=True) if not cell]
    if alone:
        log.warning(
            "data.groups=%s has an empty cell for %s (%s): each is a group of its own, maybe in another split than "
            "what it belongs to.",
            rule,
            counted(len(alone), "image"),
            shortened(alone, 3),
        )
    return [cell or name for cell, name in zip(cells, names, strict=True)]


def _matched(name: str, pattern: str) -> str:
    found = re.fullmatch(_expression(pattern), name if "/" in pattern else PurePosixPath(name).name)
    if found is None:
        raise UserError(
            f"data.groups={pattern} does not match the image {name}. In it, {_NAME} stands for the group's name and * "
            "for any text; with a / it is matched with the path relative to data.root, else with the file's name."
        )
    return found["group"]


def _expression(pattern: str) -> str:
    before, _, after = pattern.partition(_NAME)
    if _NAME in after:
        raise UserError(f"data.groups={pattern} must have {_NAME} once.")
    return f"{_lazy(before)}(?P<group>[^/]+?){_lazy(after)}"


def _lazy(pattern: str) -> str:
    parts = re.findall(r"\*\*/|\*|\?|\[!?[^\]]+\]|.", pattern)
    special = {"*": "[^/]*?", "**/": "(?:.*/)?", "?": "[^/]"}
    return "".join(
        special.get(part) or (part.replace("[!", "[^", 1) if len(part) > 1 else re.escape(part)) for part in parts
    )
