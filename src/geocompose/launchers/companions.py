"""The processes that a run starts beside itself, on this machine: they end with it, and it ends with them."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from geocompose.errors import UserError, in_one_line
from geocompose.launchers.parent_death import die_with
from geocompose.training.processes import Processes

_PATIENCE_S = 20  # for the others to end when all is computed
_NEWS_S = 2


@contextmanager
def companions(processes: Processes, accompany: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[None]:
    """Start the other processes for the block: each calls `accompany(its Processes, *arguments)`, picklable, and ends.

    Raises:
        UserError: one of them failed; says why.
    """
    if processes.size == 1 or processes.outside:
        yield
        return
    context = multiprocessing.get_context("spawn")
    started: list[SpawnProcess] = []
    ends: list[Connection] = []
    for rank in range(1, processes.size):
        receives, sends = context.Pipe(duplex=False)
        its = replace(processes, rank=rank, local_rank=rank)
        process = context.Process(target=_companion, args=(sends, its, accompany, arguments))
        process.start()
        sends.close()
        started.append(process)
        ends.append(receives)
    try:
        yield
    except Exception as error:
        _blame(started, ends, error)
        raise
    else:
        for process in started:
            process.join(_PATIENCE_S)
    finally:
        for process in started:
            process.kill()
            process.join()
        for end in ends:
            end.close()


def _blame(started: list[SpawnProcess], ends: list[Connection], error: BaseException) -> None:
    """Raise what made another process fail, if one did: this one then only lost its partner.

    Raises:
        UserError: says which, and why.
    """
    for end in wait(ends, timeout=_NEWS_S):
        assert isinstance(end, Connection)
        rank = ends.index(end) + 1
        try:
            kind, reason = end.recv()
        except EOFError:
            process = started[rank - 1]
            process.join(_NEWS_S)
            if process.exitcode:
                raise UserError(
                    f"Process {rank} of the run died ({_how(process.exitcode)}), and the others can't go on without "
                    "it. retry=failed goes on from the last checkpoint."
                ) from error
        else:
            if kind != type(error).__name__:
                raise UserError(f"Process {rank} of the run failed: {reason}") from error


def _how(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"


def _companion(
    sends: Connection, processes: Processes, accompany: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    """Be another process of a run: silent but for what made it fail."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        die_with(parent.pid)  # lost, it would wait for the others
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    try:
        accompany(processes, *arguments)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the first process tells it
        sends.send((type(error).__name__, in_one_line(error)))
        sys.exit(1)
