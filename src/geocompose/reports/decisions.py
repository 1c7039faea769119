"""Precision, recall and the threshold of the best cell of two classes, for a report. Free of torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geocompose.reports.charts import precision_recall_chart
from geocompose.reports.comparison import Comparison
from geocompose.reports.numbers import of_score
from geocompose.runs.arrays import read_arrays
from geocompose.scores import SCORES, THRESHOLD_BINS
from geocompose.statistics.two_classes import best_threshold, matrices_at_all, precision_recall
from geocompose.studies.reading import Run


@dataclass(frozen=True)
class Decisions:
    """A drawing of precision over recall on the scored split, and what a threshold from validation changes."""

    chart: str
    sentences: tuple[str, ...]


def decisions(part: Comparison) -> Decisions | None:
    """Return the best cell's decisions; None where there are not two classes, or its runs kept no counts of them."""
    score, runs = part.scored.score, part.rows[0].cell.every_run
    # On the split that chooses the threshold nothing could be said of it.
    if len(score.names) != 2 or score.kind not in ("segmentation", "classification") or part.scored.split != "test":
        return None
    counts = _counts(runs, ("val", part.scored.split))
    if counts is None:
        return None
    val, scored = counts
    curve, chosen, half = precision_recall(scored.sum(axis=0)), best_threshold(val.sum(axis=0)), THRESHOLD_BINS // 2
    name, metric = score.names[1], score.metric

    def at(threshold: int) -> float:
        found = [SCORES[score.kind](matrices_at_all(one)[threshold], score.names)[metric] for one in scored]
        return float(np.mean(found))

    said = [
        f"{part.rows[0].cell.name}, its runs together: {name} is found with a precision of "
        f"{of_score(float(curve.precision[half]))} and a recall of {of_score(float(curve.recall[half]))}; the average "
        f"precision is {of_score(curve.average)}.",
        f"The best threshold for the mean IoU on validation is {chosen / THRESHOLD_BINS:.2f} in place of 0.5. "
        f"With it, {part.scored.split} {metric} is {of_score(at(chosen))} in place of {of_score(at(half))} (means of "
        "its runs).",
    ]
    points = [(float(curve.recall[place]), float(curve.precision[place])) for place in (chosen, half)]
    return Decisions(precision_recall_chart(curve.recall, curve.precision, *points), tuple(said))


def _counts(runs: Sequence[Run], splits: tuple[str, str]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (runs, 2, bins) of two splits; None where a run has kept none, as those of earlier versions."""
    found: list[list[np.ndarray]] = [[], []]
    for run in runs:
        if not run.folder.thresholds.is_file():
            return None
        arrays = read_arrays(run.folder.thresholds, splits)
        for place, split in enumerate(splits):
            one = arrays.get(split)
            if one is None or one.ndim != 3 or one.shape[1:] != (2, THRESHOLD_BINS) or not one.sum() > 0:
                return None  # of another version, or without a label
            found[place].append(one.sum(axis=0))
    return np.stack(found[0]), np.stack(found[1])
