"""The table of a test set's cells, once for the page, Markdown and LaTeX; and with all digits as a CSV. No torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from geocompose.reports.comparison import COSTS, Baseline, Comparison, Row
from geocompose.reports.findings import reported_interval
from geocompose.reports.numbers import COST_NAMES, UNKNOWN, cost_in_words, of_difference, of_score
from geocompose.reports.spreadsheet import csv_of
from geocompose.reports.study_report import StudyReport

RowKind = Literal["tied", "other", "baseline"]


@dataclass(frozen=True)
class Column:
    """A heading. text: its values are words, not numbers. wide: they are sentences, which may take several lines."""

    name: str
    text: bool = False
    wide: bool = False


@dataclass(frozen=True)
class TableRow:
    """A line of the table: values in the order of the columns. kind: tied with the best, another, or a baseline."""

    kind: RowKind
    values: tuple[str, ...]


@dataclass(frozen=True)
class CellTable:
    """The cells of a test set and its baselines. score: the place of the score's column. note: what marks mean."""

    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    score: int
    note: str


def cell_table(part: Comparison) -> CellTable:
    """Return the table of a test set: cells from the best to the worst one, then what needs no network."""
    keys = keys_of(part)
    over = [Column(f"over {part.baselines[0].name}")] if part.baselines else []
    columns = (
        Column("#"),
        *(Column(key, text=True) for key in keys),
        Column(f"{part.scored.split} {part.metric}"),
        Column(f"{round(100 * part.level)} % interval", text=True),
        Column("val"),
        *over,
        Column("seeds"),
        *(Column(COST_NAMES[name]) for name in COSTS),
        Column("remarks", text=True, wide=True),
    )
    rows = [_cell(row, keys, with_over=bool(over)) for row in part.rows]
    rows += [_baseline(baseline, len(columns), len(keys)) for baseline in part.baselines]
    return CellTable(columns, tuple(rows), 1 + len(keys), _note(part))


def keys_of(part: Comparison) -> list[str]:
    """Return the settings that differ within a test set; `composition`, its name, where none does."""
    names = dict.fromkeys(name for row in part.rows for name in row.cell.settings)
    return [name for name in names if len({row.cell.settings.get(name) for row in part.rows}) > 1] or ["composition"]


def value_of(row: Row, key: str) -> str:
    """Return what a cell was set to."""
    return row.cell.name if key == "composition" else row.cell.settings.get(key, "-")


def _cell(row: Row, keys: Sequence[str], *, with_over: bool) -> TableRow:
    interval, _ = reported_interval(row.estimate)
    mark = "" if row.estimate.interval.known else " *"
    over = [] if not with_over else ["" if row.over_baseline is None else of_difference(row.over_baseline.mean)]
    return TableRow(
        "tied" if row.tied else "other",
        (
            str(row.place),
            *(value_of(row, key) for key in keys),
            of_score(row.estimate.mean),
            f"{interval}{mark}" if interval else UNKNOWN,
            UNKNOWN if math.isnan(row.val) else of_score(row.val),
            *over,
            str(len(row.cell.runs)),
            *(cost_in_words(name, row.costs[name]) for name in COSTS),
            "; ".join(row.remarks),
        ),
    )


def _baseline(baseline: Baseline, columns: int, keys: int) -> TableRow:
    interval, _ = reported_interval(baseline.estimate)
    first = ["", baseline.name, *[""] * (keys - 1), of_score(baseline.estimate.mean), interval or UNKNOWN]
    return TableRow("baseline", (*first, *[""] * (columns - len(first) - 1), baseline.detail))


def _note(part: Comparison) -> str:
    said = ["Bold: not told apart from the best one." if part.tied and part.tied.pairs else ""]
    if any(not row.estimate.interval.known and row.estimate.on_these_tiles.known for row in part.rows):
        said.append("* of other seeds on these very tiles; nothing is said of other places.")
    lacking = [row.estimate.interval.reason for row in part.rows if not reported_interval(row.estimate)[0]]
    if lacking:
        said.append(f"No interval: {lacking[0]}.")
    if any("random encoder" in row.remarks for row in part.rows):
        said.append("Random encoder: frozen as it was drawn, so that the decoder alone has learned.")
    return " ".join(filter(None, said))


def as_csv(report: StudyReport) -> str:
    """Return all cells and baselines as a CSV with all digits; their origin is `rerun`, not `copied`."""
    keys = list(report.keys) or ["composition"]
    rows: list[list[object]] = [[
        "origin", "data", "split", "metric", "place", "what", *keys, "score", "low", "high", "interval_of", "tied",
        "val", "over_baseline", "seeds", "clusters", *COSTS, "remarks", "runs",
    ]]  # fmt: skip
    for part in report.sets:
        about = ["rerun", part.scored.name, part.scored.split, part.metric]
        for row in part.rows:
            over = row.over_baseline.mean if row.over_baseline else ""
            values = [value_of(row, key) if key == "composition" else row.cell.settings.get(key, "") for key in keys]
            tied = "" if row.tied is None else row.tied
            rows.append([
                *about, row.place, "composition", *values, row.estimate.mean, *_limits(row), tied, row.val, over,
                len(row.cell.runs), part.clusters.number, *(_plain(row.costs[name]) for name in COSTS),
                "; ".join(row.remarks), " ".join(run.folder.path.name for run in row.cell.every_run),
            ])  # fmt: skip
        for baseline in part.baselines:
            rows.append([
                *about, "", "baseline", baseline.name, *[""] * (len(keys) - 1), baseline.estimate.mean,
                *_limits(baseline), "", "", "", "", part.clusters.number, *[""] * len(COSTS), baseline.detail, "",
            ])  # fmt: skip
    return csv_of(rows)


def _limits(one: Row | Baseline) -> list[object]:
    interval = one.estimate.widest_known
    return [_plain(interval.low), _plain(interval.high), reported_interval(one.estimate)[1]]


def _plain(value: float | None) -> object:
    return "" if value is None else value
