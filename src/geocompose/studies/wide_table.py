"""A table that is complete at any width: nothing in it is cut, and numbers are never split over lines."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from geocompose.console import console

_FRAME = 3  # columns that a cell takes beside its text
_LEAST = 10  # columns that a text may be folded to


@dataclass(frozen=True)
class Column:
    """A column: its name, and whether its cells may be folded to several lines (texts), or not (numbers)."""

    name: str
    folds: bool = False


def print_table(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their columns; where a terminal is too narrow, texts are folded, then each row is a block.

    What is not a terminal gets lines as long as they have to be.
    """
    out = console()
    table = Table(title=title, title_justify="left")
    widths = [max(map(len, (column.name, *cells))) for column, *cells in zip(columns, *rows, strict=True)]
    least = [min(w, _LEAST) if column.folds else w for column, w in zip(columns, widths, strict=True)]
    width = out.width
    if not out.is_terminal:
        width = max(width, _total(widths))
    if _total(least) > width:
        _print_blocks(title, columns, rows)
        return
    for column, narrowest in zip(columns, least, strict=True):
        if column.folds:
            table.add_column(column.name, overflow="fold", min_width=narrowest)
        else:
            table.add_column(column.name, justify="right", no_wrap=True, min_width=narrowest)
    for row in rows:
        table.add_row(*row)
    console(width).print(table)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _FRAME * len(widths) + 1


def _print_blocks(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    out = console()
    out.print(title)
    longest = max(len(column.name) for column in columns)
    for row in rows:
        out.print()
        for column, text in zip(columns, row, strict=True):
            out.print(f"{column.name:<{longest}}  {text}")
