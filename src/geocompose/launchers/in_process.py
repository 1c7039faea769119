"""launcher=in_process: cells one after the other in the sweeping process itself, where a debugger sees them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from geocompose.errors import UserError, in_one_line
from geocompose.launchers.engine import LATER_S, Ask, Ended, Job, Started
from geocompose.runs.lock import RunHeldError


@dataclass(frozen=True)
class InProcessEngine:
    """Computes each job in this process. hours: after these no more job is begun; None is no limit.

    Raises:
        UserError: hours is not above 0.
    """

    hours: float | None = None
    workers: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.hours is not None and not 0 < self.hours < float("inf"):
            raise UserError(f"launcher.hours must be a number above 0, or null for no limit; got {self.hours}.")

    def compute(self, jobs: Sequence[Job], told: Callable[[Started | Ended], None]) -> None:
        """Compute jobs, and tell of each one its start and its end. What was not begun is not told.

        Raises:
            KeyboardInterrupt: the running job was interrupted, and its end has been told.
        """
        waiting = iter(jobs)
        self.compute_asked(lambda: next(waiting, None), told)

    def compute_asked(self, ask: Ask, told: Callable[[Started | Ended], None]) -> None:
        """Compute the jobs that `ask` returns, one after the other; see `compute`."""
        until = time.monotonic() + (self.hours or float("inf")) * 3600
        while time.monotonic() < until:
            job = ask()
            if job is None:
                return
            if job == "later":
                time.sleep(LATER_S)
                continue
            told(Started(job))
            began = time.monotonic()
            try:
                job.call()
            except RunHeldError as error:
                told(Ended(job, "held", in_one_line(error), time.monotonic() - began))
            except Exception as error:  # noqa: BLE001 - one cell's error must not end the others
                told(Ended(job, "raised", in_one_line(error), time.monotonic() - began))
            except KeyboardInterrupt:
                told(Ended(job, "cancelled", "the sweep was stopped", time.monotonic() - began))
                raise
            else:
                told(Ended(job, "returned", "", time.monotonic() - began))
