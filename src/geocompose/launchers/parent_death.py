"""A cell that dies when the sweep dies, however that happens."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import connection

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with(parent_pid: int) -> bool:
    """Have the system send SIGKILL to this process when its parent, `parent_pid`, dies; return whether it can (Linux).

    A parent that is dead already ends this process at once. "The parent" is the thread that started this process: who
    calls this is started by a main thread. Children of this process don't inherit it.

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform != "linux":
        return False
    refused = ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)  # it died before that
    return not refused


def watch_sweep() -> None:
    """Have a thread end this process and those that it has started when the sweeping process has gone.

    It comes too late where other code holds the interpreter, so it is for systems without `die_with`.
    """
    sweep = multiprocessing.parent_process()
    assert sweep is not None, "called elsewhere than in a cell's process"

    def watch() -> None:
        connection.wait([sweep.sentinel])
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, name="sweep's death", daemon=True).start()
