"""All cells one after the other: in this process, or shared by several."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from typing import TYPE_CHECKING

from geocompose.doctor.cells import Cells
from geocompose.doctor.row import Row
from geocompose.errors import UserError

if TYPE_CHECKING:
    from geocompose.doctor.doctor import Doctor

_FEW = 40  # cells that are done before other processes have loaded torch

_doctor: "Doctor | None" = None  # of a worker process, where it is kept from one pair to the next


def examined(cells: Cells, workers: int | None) -> Iterator[Row]:
    """Yield the row of each cell, in the order of the cells whatever the number of workers.

    workers: processes; None is one for each core, and this one alone for few cells.

    Raises:
        UserError: a worker was ended from outside, most likely for lack of memory.
    """
    if workers is None:
        workers = 1 if len(cells) <= _FEW else os.cpu_count() or 1
    pairs = list(cells.pairs())
    if workers == 1:
        _begin(cells)
        _warm_up(cells)
        for pair in pairs:
            yield from _rows(pair)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(cells,)) as pool:
        try:
            for rows in pool.map(_rows, pairs):
                yield from rows
        except BrokenProcessPool as error:
            raise UserError(
                "A process of the doctor was ended from outside, most likely because memory ran out. Try "
                "action.workers=1, or fewer cells (backbone=PATTERN, decoder=PATTERN)."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(cells: Cells) -> None:
    global _doctor
    from geocompose.doctor.doctor import Doctor

    _doctor = Doctor(cells)


def _warm_up(cells: Cells) -> None:
    """Try the first cell for nothing, so that the time of libraries to load is in no cell's of a few."""
    from geocompose.doctor.doctor import Doctor

    first = dict([next(iter(cells.bases.items()))])
    Doctor(replace(cells, bases=first)).rows(next(iter(cells.pairs())))


def _rows(pair: tuple[str, str]) -> Sequence[Row]:
    assert _doctor is not None
    return _doctor.rows(pair)
