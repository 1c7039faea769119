"""Scores over the part of the training data that was learned from (data.fraction), for a report. Free of torch."""

from collections import defaultdict

import numpy as np

from geocompose.reports.charts import MOST_LINES, Curve, over_fractions
from geocompose.reports.comparison import Comparison, Row

FRACTION = "data.fraction"


def label_efficiency(part: Comparison) -> str:
    """Return a drawing of score over data.fraction, a line per composition with several; empty where none has.

    Of more compositions than can be told apart, those with the best score at their largest part are shown.
    """
    lines: dict[str, list[tuple[float, Row]]] = defaultdict(list)
    for row in part.rows:
        fraction = _number(row.cell.settings.get(FRACTION, ""))
        if fraction is not None:
            others = [value for key, value in row.cell.settings.items() if key != FRACTION]
            lines[" · ".join(others) or row.cell.choices.get("backbone", "")].append((fraction, row))
    several = {name: sorted(points, key=lambda point: point[0]) for name, points in lines.items() if len(points) > 1}
    ranked = sorted(several, key=lambda name: several[name][-1][1].place)[:MOST_LINES]
    return over_fractions([_line(name, several[name]) for name in ranked], part.metric) if ranked else ""


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value <= 1 else None


def _line(name: str, points: list[tuple[float, Row]]) -> Curve:
    fractions = np.array([fraction for fraction, _ in points])
    sides = zip(*((row.estimate.widest_known.low, row.estimate.widest_known.high) for _, row in points), strict=True)
    low, high = (np.array([np.nan if one is None else one for one in side], dtype=np.float64) for side in sides)
    return Curve(name, fractions, np.array([row.estimate.mean for _, row in points]), low, high)
