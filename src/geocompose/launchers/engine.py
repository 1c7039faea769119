"""What a sweep asks of an engine: jobs to be computed, and what is told of each. Free of torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable


@dataclass(frozen=True)
class Job:
    """One cell to be computed.

    run_id: the run's identity. title: what tells the cell from the others. call: computes the run, whose records are
        its result; picklable, raises where it fails. log: the file that all its process writes is appended to.
    """

    run_id: str
    title: str
    call: Callable[[], object]
    log: Path


@dataclass(frozen=True)
class Started:
    """A job was handed out."""

    job: Job


@dataclass(frozen=True)
class Ended:
    """A job is over.

    how: returned; raised, by an error; held, by another process that computes the run; exited, by sys.exit or os._exit;
        killed, by a signal; timeout and memory, by a limit of the launcher; cancelled, because the sweep was stopped.
    reason: in one line. seconds: from its start. signal: its number, where it was killed.
    """

    job: Job
    how: Literal["returned", "raised", "held", "exited", "killed", "timeout", "memory", "cancelled"]
    reason: str = ""
    seconds: float = 0.0
    signal: int | None = None


LATER_S = 0.5  # until an engine asks once more

# The next job; `later` where there is none now and may be one in a moment; None where there will be none any more.
Ask = Callable[[], Job | Literal["later"] | None]


class Engine(Protocol):
    """Computes jobs wherever it likes; which are missing, and what came of them, others decide by the records."""

    def compute(self, jobs: Sequence[Job], told: Callable[[Started | Ended], None]) -> None:
        """Compute jobs, and tell of each one its start and its end. What was not begun is not told."""
        ...


@runtime_checkable
class AskingEngine(Engine, Protocol):
    """An engine that can ask for each job when it has room for it."""

    def compute_asked(self, ask: Ask, told: Callable[[Started | Ended], None]) -> None:
        """Compute the jobs that `ask` returns, one at a time, and tell of each one its start and its end."""
        ...
