"""A cell's process as the sweep sees it: started, asked to end, killed, and what its end means."""

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

from geocompose.launchers import cell, fork_server
from geocompose.launchers.engine import Ended, Job
from geocompose.launchers.memory import memory_gb
from geocompose.runs.atomic import explained

SAVING_S = 30.0  # how long a cell that was asked to end may save what it has
_ENDING_S = 30.0  # and how long its process may take to end after its last word
_TRACEBACK_S = 5.0  # and to write where it was when its time was up
_MEASURE_S = 1.0  # between two looks at its memory, which take milliseconds and halt its page faults
_GONE_S = 5.0
_DYING_S = 2.0  # a process that is being killed has closed its files, which tells its jobs' end, before it is dead
_SERVER_DIED = 255  # multiprocessing's exit code of a process whose fork server has died


# Those of this process whose end has not been seen.
_running: list["Watched"] = []


def end_all() -> None:
    """Ask every job that this process computes to save what it has, and return when they have ended."""
    for each in _running:
        each.ask_to_end()
    while any(each.is_running() for each in _running):
        time.sleep(0.05)


class Watched:
    """A job in a process of its own, which is started by making one of these.

    environment: the process's variables. num_threads: how many its libraries compute with. timeout_s: how long it may
    take. memory_gb: what it may hold together with the processes that it starts. None is no limit.
    """

    def __init__(
        self,
        job: Job,
        environment: Mapping[str, str],
        num_threads: int,
        timeout_s: float | None = None,
        memory_gb: float | None = None,
    ) -> None:
        self.job = job
        self.lost = False  # by the fork server's death, which says nothing about the job
        self._timeout_s, self._memory_gb = timeout_s, memory_gb
        self._ordered: tuple[Literal["timeout", "memory", "cancelled"], str] | None = None
        self._kill_s, self._measure_s = float("inf"), 0.0
        self._server_pid: int | None = None
        self._word: cell.Word | None = None
        with explained(job.log):
            job.log.parent.mkdir(parents=True, exist_ok=True)
        call = pickle.dumps(job.call)
        surroundings = cell.Surroundings(job.log.absolute(), environment, num_threads)
        self._words, theirs = multiprocessing.Pipe(duplex=False)
        with theirs:
            arguments = (call, surroundings, theirs)
            self._process = fork_server.start(lambda: fork_server.context().Process(target=cell.run, args=arguments))
        _running.append(self)
        self._began_s = time.monotonic()  # the first of all waits for the libraries
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def sentinel(self) -> int:
        """What becomes readable when the process ends."""
        return self._process.sentinel

    def look(self) -> Ended | None:
        """Return how the job ended, or None while it runs; hold it to its limits."""
        self._listen()
        code = self._process.exitcode
        if code is not None:
            self._listen()  # to what it said between the two
            return self._ended(code)
        now = time.monotonic()
        if self._word is not None:
            self._kill_s = min(self._kill_s, now + _ENDING_S)
        elif self._ordered is None:
            self._hold_to_limits(now)
        if now > self._kill_s:
            self.kill()
        return None

    def is_running(self) -> bool:
        """Return whether the process runs; kill it where it takes too long to end."""
        if time.monotonic() > self._kill_s:
            self.kill()
        return self._process.exitcode is None

    def ask_to_end(self) -> None:
        """Ask the job to save what it has and to end; it is killed where that takes longer than half a minute."""
        if self._ordered is None:
            self._order("cancelled", "the sweep was stopped", signal.SIGTERM, SAVING_S)

    def kill(self) -> None:
        """End the process and all that it has started, at once."""
        # A process that has not yet made a group of its own is none's leader.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()

    def close(self) -> None:
        """End what still runs, and free what the process's administration holds."""
        _running.remove(self)
        if self._process.exitcode is None:
            self.kill()
            self._process.join(_GONE_S)
        self._words.close()
        with suppress(ValueError):  # the system has not ended it in all that time
            self._process.close()

    def _order(
        self, how: Literal["timeout", "memory", "cancelled"], reason: str, number: signal.Signals, patience_s: float
    ) -> None:
        self._ordered = how, reason
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        self._kill_s = time.monotonic() + patience_s

    def _hold_to_limits(self, now: float) -> None:
        if self._timeout_s is not None and now > self._began_s + self._timeout_s:
            # faulthandler writes into the log where each thread is, and the process aborts.
            reason = (
                f"not finished in launcher.timeout_minutes={self._timeout_s / 60:g}; the log ends with where it was"
            )
            self._order("timeout", reason, signal.SIGABRT, _TRACEBACK_S)
            return
        if self._memory_gb is None or now < self._measure_s:
            return
        self._measure_s = now + _MEASURE_S
        if (held := memory_gb(self.pid)) > self._memory_gb:
            reason = f"held {held:.2f} GB of memory; launcher.memory_gb={self._memory_gb:g} allows no more"
            self._order("memory", reason, signal.SIGKILL, 0)

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while self._words.poll():
                said = self._words.recv()
                if isinstance(said, cell.Word):
                    self._word = said
                else:
                    self._server_pid = said

    def _ended(self, code: int) -> Ended:
        seconds = time.monotonic() - self._began_s
        if self._word is None or self._word.how not in ("returned", "raised", "held"):
            self._end_what_is_left()
        if self._word is not None and (self._word.how == "returned" or self._ordered is None):
            return Ended(self.job, self._word.how, self._word.reason, seconds, self._word.signal)
        if self._ordered is not None:
            return Ended(self.job, *self._ordered, seconds)
        if code == _SERVER_DIED and (self._server_pid is None or fork_server.ends_within(self._server_pid, _DYING_S)):
            self.lost = True
            reason = "the process that starts the cells was killed"
            return Ended(self.job, "killed", reason, seconds, signal.SIGKILL)
        if code < 0:
            return Ended(self.job, "killed", _killed_by(-code), seconds, -code)
        return Ended(self.job, "exited", f"its own code ended the process (exit code {code})", seconds)

    def _end_what_is_left(self) -> None:
        """End what the process has started and left behind; and itself, where only its fork server has gone."""
        until = time.monotonic() + _GONE_S
        with suppress(ProcessLookupError):
            while time.monotonic() < until:
                os.killpg(self.pid, signal.SIGKILL)
                if fork_server.ends_within(self.pid, 0.01):
                    break


def _killed_by(number: int) -> str:
    named = {each.value: each.name for each in signal.Signals}
    what = f"killed by {named.get(number, 'signal')} ({number})"
    if number == signal.SIGKILL:
        return f"{what}: by somebody, or by the system when memory ran out"
    if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT):
        return f"{what}: compiled code crashed; the log ends with where it was"
    return what
