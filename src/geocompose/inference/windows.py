"""The plan by which a raster is predicted: overlapping windows to read, and the part of each that is written."""

from collections.abc import Sequence
from typing import NamedTuple, overload

from geocompose.data.window import Window
from geocompose.errors import UserError


class PredictionWindow(NamedTuple):
    """What the model sees (`read`) and the part of it that is kept (`write`, inside `read`)."""

    read: Window
    write: Window

    @property
    def kept(self) -> tuple[slice, slice]:
        """The rows and columns of what was read that are written."""
        return self.write._replace(
            row=self.write.row - self.read.row, column=self.write.column - self.read.column
        ).slices


class WindowPlan(Sequence[PredictionWindow]):
    """The windows that predict a raster, row by row from the top left; made when they are asked for.

    A raster may declare any size: a plan of 2^31 columns takes no more memory than one of ten.
    """

    def __init__(self, rows: "_Spans", columns: "_Spans") -> None:
        self._rows, self._columns = rows, columns

    def __len__(self) -> int:
        return len(self._rows) * len(self._columns)

    @overload
    def __getitem__(self, place: int) -> PredictionWindow: ...
    @overload
    def __getitem__(self, place: slice) -> list[PredictionWindow]: ...

    def __getitem__(self, place: int | slice) -> PredictionWindow | list[PredictionWindow]:
        """Return a window by its place in the plan, or those of a slice."""
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        return self.at(*divmod(range(len(self))[place], len(self._columns)))

    @property
    def num_rows(self) -> int:
        """How many windows lie one below the other."""
        return len(self._rows)

    @property
    def num_columns(self) -> int:
        """How many windows lie side by side."""
        return len(self._columns)

    def at(self, row: int, column: int) -> PredictionWindow:
        """Return the window in a row and a column of windows, both counted from 0."""
        down, across = self._rows[row], self._columns[column]
        return PredictionWindow(
            read=Window(down.read, across.read, down.read_px, across.read_px),
            write=Window(down.write, across.write, down.write_px, across.write_px),
        )

    def last_before(self, row: int, column: int) -> tuple[int, int]:
        """Return the last row and the last column of windows that read pixels above `row` and left of `column`."""
        return self._rows.last_before(row), self._columns.last_before(column)

    def lanes(self, width_px: int) -> list[range]:
        """Return the columns of windows in groups side by side, which read at most `width_px` pixels across each.

        A group has one window at least. What is held in memory of a group does not depend on the raster's width.
        """
        number = max(1, self._columns.fitting(width_px))
        groups = -(-self.num_columns // number)
        size = -(-self.num_columns // groups)  # about equal ones: a narrow last one would read its edges twice
        return [range(first, min(first + size, self.num_columns)) for first in range(0, self.num_columns, size)]


def plan_windows(height: int, width: int, tile_px: int, overlap_px: int) -> WindowPlan:
    """Return the windows that predict a raster of `height` x `width` pixels, row by row from the top left.

    All read windows have one size: `tile_px`, or the raster's extent in a direction in which it is smaller. They lie
    inside the raster; the last of a row or column is moved back rather than padded, so that the model sees real
    surroundings everywhere. The write windows share no pixel and cover all. Where a write window ends inside the
    raster, at least `overlap_px // 2` read pixels lie beyond it.

    Raises:
        UserError: `tile_px` is not positive, or `overlap_px` is not in 0 ... `tile_px` - 1.
    """
    assert min(height, width) > 0, f"a raster has pixels, got {height} x {width}"
    if tile_px < 1:
        raise UserError(
            f"tile_px={tile_px}: a prediction window has at least one pixel; write the side you trained with."
        )
    if not 0 <= overlap_px < tile_px:
        raise UserError(
            f"action.overlap_px={overlap_px}: neighbouring windows of {tile_px} pixels can share 0 to {tile_px - 1} of "
            f"them. Write, for example, action.overlap_px={tile_px // 4}."
        )
    return WindowPlan(_Spans(height, tile_px, overlap_px), _Spans(width, tile_px, overlap_px))


class _Span(NamedTuple):
    """One window in one direction: where it is read and written, and how many pixels."""

    read: int
    read_px: int
    write: int
    write_px: int


class _Spans:
    """The windows in one direction, of `length` pixels."""

    def __init__(self, length: int, tile_px: int, overlap_px: int) -> None:
        self._length, self._tile_px, self._step = length, tile_px, tile_px - overlap_px
        self._last = max(0, length - tile_px)  # where the last window starts

    def __len__(self) -> int:
        return -(-self._last // self._step) + 1  # one per whole or begun step, and the last

    def __getitem__(self, place: int) -> _Span:
        """Return a window by its place from the first; any other number is a mistake of the caller."""
        assert 0 <= place < len(self), place
        begin = self._seam(place) if place else 0
        end = self._seam(place + 1) if place + 1 < len(self) else self._length
        return _Span(self._start(place), min(self._tile_px, self._length), begin, end - begin)

    def last_before(self, end: int) -> int:
        """Return the last window that begins before a pixel, of which there is one."""
        assert end > 0, end
        return len(self) - 1 if self._last < end else -(-end // self._step) - 1

    def fitting(self, length: int) -> int:
        """Return how many windows, one after the other, read at most so many pixels."""
        if length >= self._length:  # the last one is moved back
            return len(self)
        return max(0, length - self._tile_px) // self._step + 1

    def _start(self, place: int) -> int:
        return min(place * self._step, self._last)

    def _seam(self, place: int) -> int:
        """Return where a window meets the one before: in the middle of what both read, far from either's border."""
        return (self._start(place) + self._start(place - 1) + self._tile_px) // 2
