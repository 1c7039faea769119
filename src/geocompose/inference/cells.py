"""A raster read by whole blocks, each once, with windows cut out of them.

Windows overlap, and rarely begin where a file's blocks do: read one by one, a block of 256 px is decoded, converted and
normalised up to four times. Here the raster is read by *cells*, which are whole blocks of the file. Each is read when
the first window needs it and given up after the last one. Windows come row by row; where a row of a wide raster is more
than `HELD_BYTES` allows, they come by *lanes*, one beside the other from top to bottom, and the cells on a seam between
lanes are read twice. So memory depends on the size of windows and blocks, not on that of the raster.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from geocompose.data.window import Window
from geocompose.inference.windows import PredictionWindow, WindowPlan

HELD_BYTES = 64 * 2**20  # of the cells that windows still need
_CELL_PX = 2**18  # smaller blocks are read several at once: each call of GDAL costs about 0.1 ms
_MOST_CELL_PX = 2**22  # larger blocks (whole images in one) are read in parts; then GDAL's own cache has to help
_LEAST_CELLS = 4  # that a lane is wide

Pixels = tuple[np.ndarray, np.ndarray]  # (C, [T,] h, w) and which are valid (h, w)


class CellShape(NamedTuple):
    """Rows and columns of a cell."""

    height: int
    width: int


def cell_shape(height: int, width: int, block: tuple[int, int]) -> CellShape:
    """Return the cells by which a raster is read: whole blocks, several where they are small.

    height, width: the raster's. block: rows and columns of its blocks.
    """
    rows, columns = min(block[0], height), min(block[1], width)
    if rows * columns > _MOST_CELL_PX:
        side = 1024
        return CellShape(min(side, rows), min(side, columns))
    # Blocks side by side first, up to a square; strips that span the raster are stacked.
    side = int(_CELL_PX**0.5)
    columns *= max(1, min(side // columns, -(-width // columns)))
    rows *= max(1, min(_CELL_PX // (rows * columns), -(-height // rows)))
    return CellShape(rows, columns)


class _Cell(NamedTuple):
    """A cell's place, counted in cells, and the lane in which it is needed."""

    lane: int
    row: int
    column: int


class CellReader:
    """Cuts the windows of a plan out of cells.

    read: reads any window of the raster. size: its height and width. shape: of the cells. threads: how many cells are
    read at a time.

    Attributes: `most_px`, the most pixels of cells that were held at a time.
    """

    def __init__(
        self, read: Callable[[Window], Pixels], size: tuple[int, int], shape: CellShape, threads: int = 1
    ) -> None:
        self._read, self._size, self._shape, self._threads = read, size, shape, threads
        self._held: dict[_Cell, Future[Pixels]] = {}
        self._ends: dict[tuple[int, int, int], list[_Cell]] = {}  # by the window after which they are not needed
        self._held_px = 0
        self.most_px = 0

    def windows(
        self, plan: WindowPlan, lanes: Sequence[range]
    ) -> Generator[tuple[PredictionWindow, Pixels], None, None]:
        """Yield each window of the plan with its pixels, lane by lane, in each row by row.

        Raises:
            UserError: what `read` raises; nothing is read any more then.
        """
        order = ((number, lane, row, column) for number, lane in enumerate(lanes)
                 for row in range(plan.num_rows) for column in lane)  # fmt: skip
        with ThreadPoolExecutor(self._threads, "geocompose-cells") as pool:
            try:
                waiting: deque[tuple[tuple[int, int, int], PredictionWindow, list[_Cell]]] = deque()
                for number, lane, row, column in order:
                    window = plan.at(row, column)
                    cells = self._wanted(pool, plan, number, lane, window.read)
                    waiting.append(((number, row, column), window, cells))
                    if len(waiting) > self._threads:
                        yield self._next(*waiting.popleft())
                while waiting:
                    yield self._next(*waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def _wanted(
        self, pool: ThreadPoolExecutor, plan: WindowPlan, number: int, lane: range, window: Window
    ) -> list[_Cell]:
        """Return the cells that a window lies in; those that are not there yet are begun."""
        height, width = self._shape
        rows = range(window.row // height, (window.row + window.height - 1) // height + 1)
        columns = range(window.column // width, (window.column + window.width - 1) // width + 1)
        cells = [_Cell(number, row, column) for row in rows for column in columns]
        for cell in cells:
            if cell in self._held:
                continue
            place = self._place(cell)
            self._held[cell] = pool.submit(self._read, place)
            self._held_px += place.height * place.width
            self.most_px = max(self.most_px, self._held_px)
            row, column = plan.last_before(place.row + place.height, place.column + place.width)
            self._ends.setdefault((number, row, min(column, lane[-1])), []).append(cell)
        return cells

    def _next(
        self, place: tuple[int, int, int], window: PredictionWindow, cells: Sequence[_Cell]
    ) -> tuple[PredictionWindow, Pixels]:
        pixels = self._cut(window.read, cells)
        for cell in self._ends.pop(place, []):
            del self._held[cell]
            gone = self._place(cell)
            self._held_px -= gone.height * gone.width
        return window, pixels

    def _cut(self, window: Window, cells: Sequence[_Cell]) -> Pixels:
        first, _ = self._held[cells[0]].result()
        pixels = np.empty((*first.shape[:-2], window.height, window.width), first.dtype)
        valid = np.empty((window.height, window.width), dtype=bool)
        for cell in cells:
            there, known = self._held[cell].result()
            place = self._place(cell)
            to, source = zip(
                _shared(window.row, window.height, place.row, place.height),
                _shared(window.column, window.width, place.column, place.width),
                strict=True,
            )
            pixels[..., *to] = there[..., *source]
            valid[to] = known[source]
        return pixels, valid

    def _place(self, cell: _Cell) -> Window:
        row, column = cell.row * self._shape.height, cell.column * self._shape.width
        return Window(
            row, column, min(self._shape.height, self._size[0] - row), min(self._shape.width, self._size[1] - column)
        )


def _shared(start: int, length: int, other: int, other_length: int) -> tuple[slice, slice]:
    """Return what two stretches share, as a slice of each."""
    first, end = max(start, other), min(start + length, other + other_length)
    return slice(first - start, end - start), slice(first - other, end - other)


def lane_px(width: int, tile_px: int, shape: CellShape, bytes_per_px: int) -> int:
    """Return how many columns of a raster a lane may read, so that its cells take about `HELD_BYTES`.

    Held at a time are the rows of a window and of the cells that reach beyond it. Strips, which span the raster, can't
    be cut: a lane is then the whole width. It is never narrower than a few cells, of which two lie on its seams.
    """
    if shape.width >= width:
        return width
    rows = tile_px + shape.height
    return max(tile_px, _LEAST_CELLS * shape.width, HELD_BYTES // (rows * bytes_per_px))
