"""The drawings of a report: scores, costs, curves, shares of the variance, trials of searches. Free of torch."""

import math
from collections import defaultdict

import numpy as np

from geocompose.reports.charts import MOST_LINES, Curve, Dot, bars, curves, dots, front, over_trials, over_values
from geocompose.reports.comparison import COSTS, Comparison, Row
from geocompose.reports.numbers import COST_NAMES
from geocompose.reports.searches import SearchTold
from geocompose.runs.epoch_rows import read_metrics

_MOST_DOTS = 40


def score_dots(part: Comparison) -> str:
    """Return the scores with their intervals, the best ones where there are many; the best baseline is a line."""
    points = []
    for row in part.rows[:_MOST_DOTS]:
        interval = row.estimate.widest_known
        label = f"{row.place}  {row.cell.name}"
        points.append(Dot(label, row.estimate.mean, interval.low, interval.high, bool(row.tied)))
    best = part.baselines[0] if part.baselines else None
    return dots(
        points,
        f"{part.scored.split} {part.metric}",
        line=None if best is None else best.estimate.mean,
        line_label="" if best is None else best.name,
    )


def dots_caption(part: Comparison) -> str:
    """Return what `score_dots` shows, in words."""
    of_all = f"The best {_MOST_DOTS} of {len(part.rows)}. " if len(part.rows) > _MOST_DOTS else ""
    return f"{of_all}Mean over seeds and {round(100 * part.level)} % interval; blue: not told apart from the best one."


def cost_fronts(part: Comparison) -> list[str]:
    """Return the score against each cost that differs between cells, with what no other cell beats in both."""
    found = []
    for cost in COSTS:
        ahead = {row.place for row in part.front(cost)}
        points = [
            (str(row.place), spent, row.estimate.mean, row.place in ahead)
            for row in part.rows
            if (spent := row.costs[cost]) is not None
        ]
        if len({spent for _, spent, _, _ in points}) > 1:
            unit = {"seconds": "seconds of a run", "memory_mb": "memory, MiB"}.get(cost, COST_NAMES[cost])
            found.append(front(points, unit, part.metric, higher=part.higher))
    return found


def learning_curves(part: Comparison) -> str:
    """Return the validation score over the epochs of the best compositions; empty where nothing was measured."""
    lines = [line for row in part.rows[:MOST_LINES] if (line := _curve(row, f"val/{part.metric}")) is not None]
    return curves(lines, f"val {part.metric}") if lines else ""


def _curve(row: Row, metric: str) -> Curve | None:
    """Return a composition's curve over the epochs that all its runs have measured; None of fewer than two."""
    found: dict[float, list[float]] = defaultdict(list)
    runs = row.cell.every_run
    for run in runs:
        for measured in read_metrics(run.folder.metrics):
            if math.isfinite(measured.get(metric, math.nan)):
                found[measured["epoch"]].append(measured[metric])
    epochs = sorted(epoch for epoch, values in found.items() if len(values) == len(runs))
    if len(epochs) < 2:
        return None
    values = np.array([found[epoch] for epoch in epochs])
    at = np.array(epochs) + 1
    return Curve(f"{row.place}  {row.cell.name}", at, values.mean(axis=1), values.min(axis=1), values.max(axis=1))


def factor_bars(part: Comparison) -> str:
    """Return the shares of the variance; empty where there are none."""
    shares = {
        name: (share.share, share.interval.low, share.interval.high)
        for name, share in part.factors.items()
        if np.isfinite(share.share)
    }
    return bars(shares) if shares else ""


def search_drawings(search: SearchTold) -> list[str]:
    """Return a search's trials in their order, then over each key that was searched; nothing of fewer than two."""
    if len(search.tried) < 2:
        return []
    numbers, values = [trial.trial for trial in search.tried], [trial.value for trial in search.tried]
    best_so_far = (np.maximum if search.higher else np.minimum).accumulate(values).tolist()
    best = numbers.index(search.best) if search.best in numbers else None
    over_keys = [
        over_values(search.values_of(key), values, best, key, search.metric, log=key in search.logarithmic)
        for key in search.keys
    ]
    return [over_trials(numbers, values, best_so_far, search.metric), *over_keys]
