"""A table that is complete at any width: nothing in it is cut, and numbers are never split over lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from geocompose.console import console
from geocompose.errors import visible

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
    rows = [[visible(text) for text in row] for row in rows]
    widths = [max(map(len, (column.name, *cells))) for column, *cells in zip(columns, *rows, strict=True)]
    least = [min(w, _LEAST) if column.folds else w for column, w in zip(columns, widths, strict=True)]
    width = out.width if out.is_terminal else max(out.width, _total(widths))
    if _total(least) > width:
        _print_blocks(title, columns, rows)
        return
    while _total(widths) > width:  # the widest of those that may be folded gives way first
        widest = max(range(len(widths)), key=lambda place: widths[place] - least[place])
        widths[widest] -= 1
    out.print("\n".join([title, *_lines(columns, rows, widths)]))


def _lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    """Yield a table's lines. Rich's own tables take a second for 400 rows."""
    bars = ["─" * (width + 2) for width in widths]
    heavy = ["━" * (width + 2) for width in widths]
    yield f"┏{'┳'.join(heavy)}┓"
    yield from _row([column.name for column in columns], columns, widths, "┃")
    yield f"┡{'╇'.join(heavy)}┩"
    for row in rows:
        yield from _row(row, columns, widths, "│")
    yield f"└{'┴'.join(bars)}┘"


def _row(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int], bar: str) -> Iterator[str]:
    folded = [
        [text[start : start + width] for start in range(0, len(text), width)] or [""]
        for text, width in zip(cells, widths, strict=True)
    ]
    for line in zip_longest(*folded, fillvalue=""):
        padded = [
            f" {text:<{width}} " if column.folds else f" {text:>{width}} "
            for text, column, width in zip(line, columns, widths, strict=True)
        ]
        yield bar + bar.join(padded) + bar


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
