"""Scores of backbone x decoder x method as tables whose cells are coloured by the score. Free of torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from geocompose.reports.comparison import Comparison, Row

_ORDER = ("backbone", "decoder", "peft")
# A searched number has as many values as there are trials: that is no table.
_MOST_VALUES = 24


@dataclass(frozen=True)
class HeatCell:
    """row: None where the study has no score. strength: 0 of the worst to 1 of the best score of the map."""

    row: Row | None
    strength: float = 0.0


@dataclass(frozen=True)
class HeatMap:
    """One table. title: the value that all of it shares; rest: keys over which the best on validation is shown."""

    title: str
    across: str
    down: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]
    rest: tuple[str, ...]


def heat_maps(report: Comparison) -> list[HeatMap]:
    """Return a map of the first two settings that vary per value of the third; none where fewer than two vary.

    Of cells that differ in further settings, the one with the best validation score stands for all.
    """
    names = {name for row in report.rows for name in row.cell.settings}
    varying = [name for name in names if len({row.cell.settings.get(name) for row in report.rows}) > 1]
    listed = [name for name in varying if len({row.cell.settings.get(name) for row in report.rows}) <= _MOST_VALUES]
    keys = sorted(listed, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    if len(keys) < 2:
        return []
    down, across, *others = keys
    facet = others[0] if others else None
    rest = [name for name in varying if name not in (down, across, facet)]
    means = [row.estimate.mean for row in report.rows]
    low, high = min(means), max(means)
    chosen: dict[tuple[str, str, str], list[Row]] = {}
    for row in report.rows:
        place = tuple(row.cell.settings.get(key, "-") if key else "" for key in (facet, down, across))
        assert len(place) == 3
        chosen.setdefault(place, []).append(row)

    def cell(rows: list[Row]) -> HeatCell:
        row = _best_on_validation(rows, higher=report.higher)
        if row is None:
            return HeatCell(None)
        share = (row.estimate.mean - low) / (high - low) if high > low else 1.0
        return HeatCell(row, share if report.higher else 1 - share)

    values: Mapping[int, list[str]] = {
        axis: list(dict.fromkeys(sorted(key[axis] for key in chosen))) for axis in range(3)
    }
    return [
        HeatMap(
            title=f"{facet} {title}" if facet else "",
            across=across,
            down=down,
            columns=tuple(values[2]),
            rows=tuple(
                (name, tuple(cell(chosen.get((title, name, column), [])) for column in values[2])) for name in values[1]
            ),
            rest=tuple(rest),
        )
        for title in values[0]
    ]


def _best_on_validation(rows: list[Row], *, higher: bool) -> Row | None:
    """Return the row that stands for several: the best on validation; None where that isn't known of all."""
    if len(rows) < 2:
        return rows[0] if rows else None
    if any(math.isnan(row.val) for row in rows):
        return None
    return (max if higher else min)(rows, key=lambda row: row.val)
