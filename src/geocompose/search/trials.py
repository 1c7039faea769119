"""The trials of a search as its journal has them. Free of torch and Optuna."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

TrialState = Literal["running", "completed", "pruned", "failed", "refused"]
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Trial:
    """One point that was tried, or is.

    point: its values, by the dimensions' keys. run_id, folder: of its run; "" where it has none.
    owner: which process computes it; "" for none. value: of a completed one, the metric that runs are selected by, on
    the validation split. values: that metric by the number of epochs. reason: why it failed, is refused or was pruned.
    composition: of a refused one, what tells it from others.
    """

    number: int
    state: TrialState
    point: Mapping[str, Any]
    run_id: str = ""
    owner: str = ""
    value: float | None = None
    values: Mapping[int, float] = field(default_factory=dict)
    reason: str = ""
    composition: str = ""

    def best_until(self, epochs: int, better: Better) -> float:
        """Return the best score of the first so many epochs; NaN where there is none."""
        known = [value for epoch, value in self.values.items() if epoch <= epochs and not math.isnan(value)]
        if not known:
            return math.nan if self.value is None else self.value
        return max(known) if better == "higher" else min(known)


@dataclass(frozen=True)
class Counts:
    """How many points ended how. asked: all but refused ones; running: not ended yet."""

    asked: int
    completed: int
    pruned: int
    failed: int
    refused: int
    running: int

    def __str__(self) -> str:
        parts = [f"{number} {name}" for name, number in vars(self).items() if name != "asked" and number]
        return ", ".join(parts) or "none"


def points(trials: Iterable[Trial]) -> list[Trial]:
    """Return the last trial of each point that is not refused, in the order in which points were first tried."""
    found: dict[str, Trial] = {}
    for trial in trials:
        if trial.state != "refused":
            found[trial.run_id] = trial
    return list(found.values())


def counts(trials: Sequence[Trial]) -> Counts:
    """Return how many points ended how; a trial that failed and was tried again counts once."""
    states = [trial.state for trial in points(trials)]
    refused = sum(trial.state == "refused" for trial in trials)
    ended = (states.count("completed"), states.count("pruned"), states.count("failed"))
    return Counts(len(states), *ended, refused, states.count("running"))


def best_first(trials: Iterable[Trial], better: Better) -> list[Trial]:
    """Return completed trials, the best first; of equal ones the earlier."""
    done = [trial for trial in trials if trial.state == "completed" and trial.value is not None]
    sign = -1.0 if better == "higher" else 1.0
    return sorted(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number))
