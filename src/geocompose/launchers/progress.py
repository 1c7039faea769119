"""What the terminal shows while cells are computed."""

import sys
import time
from dataclasses import dataclass, field

from geocompose.console import console
from geocompose.launchers.engine import Ended, Started
from geocompose.studies.estimate import duration

_WORDS = {"returned": "done", "held": "computed elsewhere", "raised": "failed", "cancelled": "interrupted"}


@dataclass
class Progress:
    """Tells of each cell its start and its end, with how many are over and how long the others may take.

    total: how many are to be computed. one_at_a_time: the terminal shows what a cell writes, so that its head alone is
    written here, and its end where it does not tell it itself.
    """

    total: int
    one_at_a_time: bool
    started: int = 0
    over: int = 0
    seconds: list[float] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def more(self, number: int) -> None:
        """Count cells that are handed out once more."""
        self.total += number

    def tell(self, event: Started | Ended, word: str | None = None) -> None:
        """Write what has happened. word: how a job ended, where its process can't know that."""
        if isinstance(event, Started):
            self.started += 1
            if self.one_at_a_time:
                self._head(f"{self.started} of {self.total}: {event.job.title}")
            return
        self.over += 1
        if event.how == "returned":
            self.seconds.append(event.seconds)
        if not self.one_at_a_time or event.how not in ("returned", "raised", "held"):
            console().print(self._end(event, word))
            sys.stdout.flush()

    def _head(self, title: str) -> None:
        out = console()
        # Written, not ruled: a rule would cut what makes the cell.
        out.print(f"\n── {title} {'─' * max(0, min(out.width, 80) - len(title) - 4)}")
        sys.stdout.flush()

    def _end(self, event: Ended, word: str | None) -> str:
        word = word or _WORDS.get(event.how, "failed")
        reason = f": {event.reason}; log: {event.job.log}" if event.reason and event.how != "held" else ""
        left = self._left()
        return f"{self.over} of {self.total} {word}: {event.job.title} ({event.seconds:.1f} s){reason}{left}"

    def _left(self) -> str:
        """Return how long the other cells may take, by how fast those that are over were; "" where it is unknown."""
        waiting = self.total - self.over
        if not self.seconds or not waiting:
            return ""
        return f"; about {duration((time.monotonic() - self.began_s) / self.over * waiting)} left"
