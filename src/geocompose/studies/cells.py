"""One cell of a study's plan: a composed configuration, and what became of it. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from geocompose.catalog.learning_rates import UNTUNED
from geocompose.runs import Record, RunFolder
from geocompose.runs.other_code import CodeHere, other_code
from geocompose.studies.costs import Costs, costs_of

# Of a sweep's cells. interrupted: begun, and stopped from outside. pruned: a search does not go on with it. waiting:
# not begun. refused: parts that don't fit. unreadable: its record is damaged or foreign.
CellStatus = Literal[
    "interrupted",
    "done",
    "finished already",
    "computed elsewhere",
    "failed",
    "refused",
    "running",
    "pruned",
    "waiting",
    "unreadable",
]


@dataclass(frozen=True)
class Outcome:
    """What an action returns of a run: its folder, its metrics by name, its computing time, and whether it ran now.

    default_lr: the learning rate, where it is the default of its composition; None where it was given.
    other_code: by what else it was computed than the code that is here now; see `geocompose.runs.other_code`.
    selected_by: the metric that chose its epoch, as its record says it; None where it does not.
    untuned: why the default rate is not one that a search has chosen; None where it is, or where it was given.
    """

    folder: Path
    metrics: Mapping[str, float]
    seconds: float
    computed: bool
    default_lr: float | None = None
    other_code: str | None = None
    costs: Costs = field(default_factory=Costs)
    untuned: str | None = None
    selected_by: str | None = None


def outcome_of(folder: RunFolder, record: Record, *, computed: bool, here: CodeHere | None = None) -> Outcome:
    """Return what a completed run's record says. computed: whether it was computed now, by the code that is here.

    here: see `other_code`.
    """
    rate = record.training.get("lr") or {}
    default_lr = rate["rate"] if rate.get("from") == "default" else None
    code = None if computed else other_code(folder, record, here)
    source = str(rate.get("source", ""))
    untuned = source if default_lr is not None and source.startswith(UNTUNED) else None
    return Outcome(
        folder.path,
        record.metrics,
        record.seconds or 0.0,
        computed,
        default_lr,
        code,
        costs_of(record),
        untuned,
        record.training.get("selected_by"),
    )


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
