"""launcher=local: a process per cell on this machine, several at a time."""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import Literal

from geocompose.errors import UserError, at_least, counted
from geocompose.launchers.engine import LATER_S, Ask, Ended, Job, Started
from geocompose.launchers.follow import Follower
from geocompose.launchers.shares import VISIBLE, num_threads, shares_of_gpus
from geocompose.launchers.stopping import Stopped, StopRequest, stop_requests
from geocompose.launchers.watched import SAVING_S, Watched
from geocompose.runs.machine import SHARED_BY

log = logging.getLogger("geocompose")

_LOOK_S = 0.25  # between two looks at limits and at the log; an end is seen at once


@dataclass(frozen=True)
class LocalEngine:
    """Computes each job in a process of its own, which has the libraries loaded from its start.

    workers: how many at a time; cores and, with gpus=auto, GPUs are shared out among them. timeout_minutes: how long
    one may take. memory_gb: what it may hold in memory together with the processes that it starts. gpus: auto, null
    (each sees all) or a list of those to share out, as in CUDA_VISIBLE_DEVICES. hours: after these no more job is
    begun. null is no limit.

    Raises:
        UserError: a number is out of range, a GPU is not there.
    """

    workers: int = 1
    timeout_minutes: float | None = None
    memory_gb: float | None = None
    gpus: Literal["auto"] | list[int | str] | None = "auto"
    hours: float | None = None

    def __post_init__(self) -> None:
        at_least("launcher.workers", self.workers, 1)
        if isinstance(self.gpus, list):
            shares_of_gpus(self.workers, self.gpus)
        for name in ("timeout_minutes", "memory_gb", "hours"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"launcher.{name} must be a number above 0, or null for no limit; got {value}.")

    def compute(self, jobs: Sequence[Job], told: Callable[[Started | Ended], None]) -> None:
        """Compute jobs, and tell of each one its start and its end. What was not begun is not told.

        With one worker the terminal shows what the job writes. When this process dies, the jobs' processes die too.

        Raises:
            Stopped: SIGINT, SIGTERM or SIGHUP came; the running jobs have been asked to save what they had, and ended.
            UserError: a log can't be written.
        """
        self._run(deque(jobs), None, told)

    def compute_asked(self, ask: Ask, told: Callable[[Started | Ended], None]) -> None:
        """Compute the jobs that `ask` returns, each asked for when a worker is free; see `compute`."""
        self._run(deque(), ask, told)

    def _run(self, jobs: deque[Job], ask: Ask | None, told: Callable[[Started | Ended], None]) -> None:
        shares = shares_of_gpus(self.workers, self.gpus)
        with stop_requests() as stop:
            _Computation(self, shares, jobs, told, stop, ask).run()
        if stop.numbers:
            raise Stopped(stop.numbers[0])


@dataclass
class _Computation:
    """One call of `compute`. gpus: what each worker sees of them; workers are known by their place in it.

    ask: for more jobs, once none is waiting.
    """

    engine: LocalEngine
    gpus: list[str | None]
    waiting: deque[Job]
    told: Callable[[Started | Ended], None]
    stop: StopRequest
    ask: Ask | None = None
    running: dict[int, Watched] = field(default_factory=dict)
    followers: dict[int, Follower] = field(default_factory=dict)
    begun_again: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Hand out jobs and wait for them until all are over, or the sweep is to end."""
        until = time.monotonic() + (self.engine.hours or float("inf")) * 3600
        heard = 0
        try:
            while True:
                later = False
                for worker in (each for each in range(len(self.gpus)) if each not in self.running):
                    if self.stop.numbers or time.monotonic() >= until:
                        break
                    job = self._next()
                    later = job == "later"
                    if job is None or job == "later":
                        break
                    self._begin(worker, job)
                if not self.running and not later:
                    break
                patience_s = _LOOK_S if self.running else LATER_S
                connection.wait([*(each.sentinel for each in self.running.values()), self.stop.fileno()], patience_s)
                if len(self.stop.numbers) > heard:
                    self.stop.clear()
                    heard = len(self.stop.numbers)
                    self._end_all(at_once=heard > 1)
                self._look()
        finally:
            for watched in self.running.values():
                watched.close()
        if self.waiting and not self.stop.numbers:
            log.warning(
                "launcher.hours=%g is over: %s not begun. The same command computes what is missing.",
                self.engine.hours, counted(len(self.waiting), "cell was", "cells were"),
            )  # fmt: skip

    def _next(self) -> Job | Literal["later"] | None:
        if self.waiting:
            return self.waiting.popleft()
        return None if self.ask is None else self.ask()

    def _begin(self, worker: int, job: Job) -> None:
        environment = dict(os.environ) | {SHARED_BY: str(self.engine.workers)}
        if (gpus := self.gpus[worker]) is not None:
            environment[VISIBLE] = gpus
        if self.engine.workers == 1:
            self.followers[worker] = Follower(job.log)
        self.told(Started(job))
        timeout = self.engine.timeout_minutes
        self.running[worker] = Watched(
            job,
            environment,
            num_threads(self.engine.workers),
            None if timeout is None else timeout * 60,
            self.engine.memory_gb,
        )

    def _look(self) -> None:
        ends = [(worker, watched.look()) for worker, watched in self.running.items()]
        for follower in self.followers.values():
            follower.show()
        for worker, end in ends:
            if end is None:
                continue
            watched = self.running.pop(worker)
            watched.close()
            self.followers.pop(worker, None)
            if watched.lost and end.job.run_id not in self.begun_again and not self.stop.numbers:
                self.begun_again.add(end.job.run_id)
                self.waiting.appendleft(end.job)
            else:
                self.told(end)

    def _end_all(self, *, at_once: bool) -> None:
        log.warning(
            "The sweep is stopped: %s.",
            "the running cells are killed"
            if at_once
            else f"the running cells save what they have, which may take {SAVING_S:.0f} s (once more: they are killed)",
        )
        for watched in self.running.values():
            watched.ask_to_end()
            if at_once:
                watched.kill()
