"""Rectangles of pixels, and which scene they lie in."""

from typing import NamedTuple


class Window(NamedTuple):
    """A rectangle of pixels: its first row and column, its height and width."""

    row: int
    column: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Return the rows and columns as the index of a (rows, columns) array."""
        return slice(self.row, self.row + self.height), slice(self.column, self.column + self.width)

    @property
    def in_words(self) -> str:
        """Return which pixels these are, counted from 0."""
        rows, columns = self.slices
        return f"rows {rows.start}-{rows.stop - 1}, columns {columns.start}-{columns.stop - 1}"


class Region(NamedTuple):
    """A window of one scene; `scene` is its place in the list of scenes."""

    scene: int
    window: Window


def grid(region: Region, cell_px: int) -> list[Region]:
    """Return cells of `cell_px` x `cell_px` that cover `region`, row by row, cut off at its right and lower edge."""
    top, left, height, width = region.window
    return [
        Region(region.scene, Window(row, column, min(cell_px, top + height - row), min(cell_px, left + width - column)))
        for row in range(top, top + height, cell_px)
        for column in range(left, left + width, cell_px)
    ]
