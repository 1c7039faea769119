"""What happens inside a cell's process: the surroundings of the job, the job, and a word on how it ended."""

import faulthandler
import os
import pickle
import platform
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Literal, NamedTuple

from geocompose.errors import UserError, in_one_line
from geocompose.launchers.parent_death import die_with, watch_sweep
from geocompose.launchers.server_process import server_pid
from geocompose.runs.atomic import explained
from geocompose.runs.environment import utc_now
from geocompose.runs.lock import RunHeldError

_LONGEST_REASON = 1000  # a word to the sweep is written at once, or not at all


class Word(NamedTuple):
    """What a cell says of its own end."""

    how: Literal["returned", "raised", "held", "exited", "killed"]
    reason: str = ""
    signal: int | None = None


@dataclass(frozen=True)
class Surroundings:
    """What a cell's process gets beside its job.

    log: what all that it writes is appended to. environment: its variables, in place of the server's. num_threads: how
    many threads a library may compute with.
    """

    log: Path
    environment: Mapping[str, str]
    num_threads: int


# The signal that asked this process to end, once one has.
_stopped_by: list[int] = []


def run(call: bytes, surroundings: Surroundings, words: Connection) -> None:
    """Compute a pickled job in this process, which was started for it, and send how it ended."""
    os.setsid()  # what it starts can be ended with it, and a terminal's signals go to the sweep alone
    if server_pid is None or not die_with(server_pid):
        watch_sweep()
    os.environ.clear()
    os.environ.update(surroundings.environment)
    words.send(os.getppid())
    word = _computed(call, surroundings)
    words.send(word._replace(reason=word.reason[:_LONGEST_REASON]))
    sys.exit(word.how != "returned")


def _computed(call: bytes, surroundings: Surroundings) -> Word:
    try:
        _log_to(surroundings.log)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        _be_first_to_go()
        _take_threads(surroundings.num_threads)
        pickle.loads(call)()
    except RunHeldError as error:
        print(error)
        return Word("held", in_one_line(error))
    except (SystemExit, KeyboardInterrupt) as error:
        # Runs turn one into the other, so neither says whether a signal was the cause.
        if _stopped_by:
            return Word("killed", f"stopped by {signal.Signals(_stopped_by[0]).name}", _stopped_by[0])
        traceback.print_exc()
        return Word("exited", f"its own code ended the process ({type(error).__name__} {error})".replace(" )", ")"))
    except BaseException as error:  # noqa: BLE001 - the top of a process: everything becomes a word
        if isinstance(error, UserError):
            print(f"error: {error}")
        else:
            traceback.print_exc()
        return Word("raised", in_one_line(error))
    return Word("returned")


def _log_to(path: Path) -> None:
    """Have all that this process and its children write, in whatever language, appended to the file at `path`."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with explained(path):
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    # Streams of their own: whatever the server's are, these say each line at once, and take any file's name.
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    faulthandler.enable()
    print(f"-- {utc_now()} process {os.getpid()} on {platform.node()}")


def _stop(number: int, frame: FrameType | None) -> None:
    """End the job as Ctrl-C does, which saves what there is; asked once more, go on saving."""
    if not _stopped_by:
        _stopped_by.append(number)
        raise KeyboardInterrupt


def _be_first_to_go() -> None:
    """Have the system, when memory runs out, kill this process rather than the sweep or another program."""
    with suppress(OSError):  # elsewhere than on Linux there is no such wish
        Path("/proc/self/oom_score_adj").write_text("500")


def _take_threads(number: int) -> None:
    """Let libraries compute with that many threads; those that are loaded already have read no variable of ours."""
    os.environ["OMP_NUM_THREADS"] = str(number)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(number)
    if "sklearn" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(number)
