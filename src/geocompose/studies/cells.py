"""One cell of a study's plan: a composed configuration, and what became of it. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geocompose.runs import Record, RunFolder
from geocompose.runs.other_code import CodeHere, other_code

# Of a sweep's cells. interrupted: begun, and stopped from outside. waiting: not begun. refused: parts that don't fit.
# unreadable: its record is damaged or foreign.
CellStatus = Literal[
    "interrupted",
    "done",
    "finished already",
    "computed elsewhere",
    "failed",
    "refused",
    "running",
    "waiting",
    "unreadable",
]


@dataclass(frozen=True)
class Outcome:
    """What an action returns of a run: its folder, its metrics by name, its computing time, and whether it ran now.

    default_lr: the learning rate, where it is the default of its composition; None where it was given.
    other_code: by what else it was computed than the code that is here now; see `geocompose.runs.other_code`.
    """

    folder: Path
    metrics: Mapping[str, float]
    seconds: float
    computed: bool
    default_lr: float | None = None
    other_code: str | None = None


def outcome_of(folder: RunFolder, record: Record, *, computed: bool, here: CodeHere | None = None) -> Outcome:
    """Return what a completed run's record says. computed: whether it was computed now, by the code that is here.

    here: see `other_code`.
    """
    rate = record.training.get("lr") or {}
    default_lr = rate["rate"] if rate.get("from") == "default" else None
    code = None if computed else other_code(folder, record, here)
    return Outcome(folder.path, record.metrics, record.seconds or 0.0, computed, default_lr, code)


@dataclass
class Cell:
    """One composed configuration: its overrides, what became of it, and why where it has no result here.

    log: of its process, where there is one.
    """

    overrides: list[str]
    status: CellStatus = "interrupted"
    outcome: Outcome | None = None
    seconds: float = 0.0
    reason: str = ""
    log: Path | None = None
