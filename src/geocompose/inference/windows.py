"""The plan by which a raster is predicted: overlapping windows to read, and the part of each that is written."""

import itertools
from typing import NamedTuple

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


def plan_windows(height: int, width: int, tile_px: int, overlap_px: int) -> list[PredictionWindow]:
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
    rows = _spans(height, tile_px, overlap_px)
    cols = _spans(width, tile_px, overlap_px)
    return [
        PredictionWindow(
            read=Window(row.read, col.read, row.read_px, col.read_px),
            write=Window(row.write, col.write, row.write_px, col.write_px),
        )
        for row in rows
        for col in cols
    ]


class _Span(NamedTuple):
    """One window in one direction: where it is read and written, and how many pixels."""

    read: int
    read_px: int
    write: int
    write_px: int


def _spans(length: int, tile_px: int, overlap_px: int) -> list[_Span]:
    if length <= tile_px:
        return [_Span(0, length, 0, length)]
    last = length - tile_px
    starts = [*range(0, last, tile_px - overlap_px), last]
    # Two neighbours meet in the middle of what both have read: as far from either's border as can be.
    seams = [(right + left + tile_px) // 2 for left, right in itertools.pairwise(starts)]
    begins, ends = [0, *seams], [*seams, length]
    return [_Span(start, tile_px, begin, end - begin) for start, begin, end in zip(starts, begins, ends, strict=True)]
