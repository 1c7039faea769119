"""The fork server: a process with the libraries loaded, which starts each cell as a copy of itself.

`multiprocessing` has one per process. It is started by the first cell and takes as long as the imports.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess

import psutil

from geocompose.errors import UserError
from geocompose.launchers.libraries import ENVIRONMENT
from geocompose.launchers.server_process import MARK

# What the server imports, in this order. One that can't be imported is passed over in silence.
PRELOADED = ["geocompose.launchers.server_process", "geocompose.launchers.libraries"]
_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 0.0)  # after each attempt: a server that is being killed may still take a request


def context() -> ForkServerContext:
    """Return the context of `multiprocessing` whose processes have the libraries loaded; its server is started here.

    Raises:
        UserError: see `start`.
    """
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(PRELOADED)
    with _environment({MARK: str(os.getpid()), **ENVIRONMENT}):
        forkserver.ensure_running()
    return made


def start(make: Callable[[], ForkServerProcess]) -> ForkServerProcess:
    """Start the process that `make` returns by `context()`, and return it. A server that dies meanwhile is replaced.

    Raises:
        UserError: no server stays alive.
    """
    for pause_s in _PAUSES_S:
        try:
            process = make()
            process.start()
        except (EOFError, ConnectionError, FileNotFoundError) as error:
            cause = error
            time.sleep(pause_s)
        else:
            return process
    raise UserError(
        "The process that starts the cells ended each time it was started; see its error above. Is there memory left, "
        "and may you start further processes (ulimit -u)? Then run the same command again."
    ) from cause


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ends_within(pid: int, seconds: float) -> bool:
    """Return whether a process has ended, or does so in this time."""
    until = time.monotonic() + seconds
    while is_alive(pid):
        if time.monotonic() >= until:
            return False
        time.sleep(0.002)
    return True


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
