"""Successive halving: after how many epochs runs are compared, and which of them go on. Free of torch and Optuna.

Source: arXiv 1502.07943, over cells: rungs are epochs of runs whose schedules are those of the full length.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from geocompose.launchers.runs import Judged
from geocompose.search.trials import Better, Trial, points


def rungs(judged: Judged, min_epochs: int, factor: int) -> list[int]:
    """Return after how many epochs runs are compared before their last one, ascending.

    They are min_epochs, factor times as many, and so on, at epochs that are validated. Where runs begin with a frozen
    backbone, the first rung is after an epoch in which it has learnt: until then, nothing can be told of the run.
    """
    least = max(min_epochs, judged.frozen + 1)
    found: list[int] = []
    epochs = min_epochs
    while epochs < judged.num_epochs:
        validated = math.ceil(max(epochs, least) / judged.every) * judged.every
        if validated < judged.num_epochs and validated not in found:
            found.append(validated)
        epochs *= factor
    return found


@dataclass(frozen=True)
class Round:
    """How far a halving is.

    epochs: the rung that is trained to; None for the end. open: trials that have not come to it, and may. eliminated:
    running ones that are not gone on with, each with the reason.
    """

    epochs: int | None
    open: list[Trial]
    eliminated: list[tuple[Trial, str]]


def standing(trials: Sequence[Trial], rungs: Sequence[int], factor: int, better: Better) -> Round:
    """Return what is to be done next, once all points have been tried or are; it follows from the trials alone."""
    alive = points(trials)
    eliminated: list[tuple[Trial, str]] = []
    for place, epochs in enumerate(rungs, 1):
        alive = [trial for trial in alive if trial.state != "failed" or _reached(trial, epochs)]
        if len(alive) == 1:
            break  # there is nothing left to compare it with
        waiting = [trial for trial in alive if not _reached(trial, epochs)]
        if waiting:
            return Round(epochs, waiting, eliminated)
        ranked = sorted(alive, key=lambda trial: _rank(trial, epochs, better))
        kept = max(1, math.ceil(len(ranked) / factor))
        for position, trial in enumerate(ranked[kept:], kept + 1):
            if trial.state == "running":
                reason = (
                    f"after {epochs} epochs it was number {position} of {len(ranked)}, and the best {kept} "
                    f"{'goes' if kept == 1 else 'go'} on (rung {place} of {len(rungs)})"
                )
                eliminated.append((trial, reason))
        alive = ranked[:kept]
    return Round(None, [trial for trial in alive if trial.state == "running"], eliminated)


def _reached(trial: Trial, epochs: int) -> bool:
    return trial.state == "completed" or max(trial.values, default=0) >= epochs


def _rank(trial: Trial, epochs: int, better: Better) -> tuple[bool, float, int]:
    value = trial.best_until(epochs, better)
    missing = math.isnan(value)
    return missing, 0.0 if missing else (-value if better == "higher" else value), trial.number
