"""Several jobs that are computed together on another machine, each in a process of its own there."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from geocompose.launchers import watched
from geocompose.launchers.engine import Ended, Job, Started
from geocompose.launchers.local import LocalEngine


@dataclass
class Pack:
    """Jobs and the engine that computes them where the pack is called; picklable.

    until_s: no job is begun after that moment, in seconds since 1970 by the machines' clocks; None: any time.
    ended: how those that are over ended.
    """

    jobs: Sequence[Job]
    engine: LocalEngine
    until_s: float | None = None
    ended: list[Ended] = field(default_factory=list)

    def __call__(self) -> list[Ended]:
        """Compute the jobs that are left, and return how all of them ended, as far as they were begun."""
        # What Lightning takes for its part in a job of several processes, which this is not.
        if "SLURM_JOB_ID" in os.environ:
            os.environ["SLURM_JOB_NAME"] = "interactive"
        hours = None if self.until_s is None else max((self.until_s - time.time()) / 3600, 1e-9)
        engine = LocalEngine(
            self.engine.workers, self.engine.timeout_minutes, self.engine.memory_gb, self.engine.gpus, hours
        )
        engine.compute(self.left, self._hear)
        return self.ended

    @property
    def left(self) -> list[Job]:
        """The jobs that are not over."""
        over = {end.job.run_id for end in self.ended}
        return [job for job in self.jobs if job.run_id not in over]

    def rest(self) -> "Pack":
        """Ask what is running to save what it has, wait for its end, and return the pack that goes on from there."""
        watched.end_all()
        return Pack(self.jobs, self.engine, self.until_s, self.ended)

    def _hear(self, news: Started | Ended) -> None:
        if isinstance(news, Ended):
            self.ended.append(news)


def packs(jobs: Sequence[Job], size: int, engine: LocalEngine, hours: float | None) -> list[Pack]:
    """Return packs of at most `size` jobs. hours: from now on, after which no job is begun."""
    until_s = None if hours is None else time.time() + hours * 3600
    return [Pack(jobs[first : first + size], engine, until_s) for first in range(0, len(jobs), size)]


def told_of(pack: Pack, ends: Sequence[Ended], lost: str | None, told: Callable[[Started | Ended], None]) -> None:
    """Tell how the jobs of a pack ended.

    ends: of those that the pack tells of. lost: why it does not tell of others; None: they were not begun.
    """
    known = {end.job.run_id: end for end in ends}
    for job in pack.jobs:
        end = known.get(job.run_id)
        if end is None and lost is not None:
            end = Ended(job, "killed", lost, signal=9)  # from outside: its run can go on
        if end is not None:
            told(end)
