"""The runs of a study as rows: what tells them apart, their metrics and costs; for a terminal and as a CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from geocompose.console import number
from geocompose.errors import UserError, choices
from geocompose.scores import better
from geocompose.studies.costs import costs_of
from geocompose.studies.progress import best_first, metric_names, selected
from geocompose.studies.reading import Run, StudyFiles
from geocompose.studies.settings import Settings, all_settings, distinguishing
from geocompose.studies.wide_table import Column, print_table

Value = str | float | int | None

# What each run has beside settings and metrics, by the name of its column.
FACTS: Mapping[str, Callable[[Run], Value]] = {
    "run": lambda run: str(run.folder.path),
    "id": lambda run: run.id,
    "state": lambda run: run.state,
    "seconds": lambda run: run.record.seconds,
    "parameters": lambda run: _count(run.record.model.get("parameters")),
    "trainable": lambda run: _count(run.record.model.get("trainable")),
    "trainable_share": lambda run: costs_of(run.record).trainable_share,
    "step_s": lambda run: costs_of(run.record).step_s,
    "memory_mb": lambda run: costs_of(run.record).memory_mb,
    "result_bytes": lambda run: costs_of(run.record).result_bytes,
    "lr": lambda run: _count((run.record.training.get("lr") or {}).get("rate")),
    "lr_from": lambda run: _rate_from(run.record.training.get("lr") or {}),
    "gflops": lambda run: _count(run.record.model.get("gflops")),
    "peak_memory_mb": lambda run: run.record.peak_memory_mb,
    "epochs": lambda run: _count(run.record.training.get("epochs")),
    "best_epoch": lambda run: _count(run.record.training.get("best_epoch")),
    "started": lambda run: run.record.started,
    "finished": lambda run: run.record.finished,
    "commit": lambda run: str((run.record.git or {}).get("commit") or "") or None,
    "reason": lambda run: run.reason or None,
}
_SHOWN = ("seconds", "parameters", "trainable_share", "step_s", "memory_mb", "result_bytes")


@dataclass(frozen=True)
class RunTable:
    """Runs in their order. keys: settings that differ between them; values: those of each run, by its id."""

    study: StudyFiles
    runs: Sequence[Run]
    keys: Sequence[str]
    values: Mapping[str, Settings]
    sort: str | None
    volatile: tuple[str, ...] = ()


def run_table(study: StudyFiles, sort: str | None, volatile: Iterable[str]) -> RunTable:
    """Return the runs of a study, sorted.

    sort: a metric, best first; a setting or a fact (seconds, parameters, ...), ascending; null: the metric by which the
        runs' epochs were selected, where it is one for all. What has no value there comes last.

    Raises:
        UserError: no run has such a metric, setting or fact.
    """
    volatile = tuple(volatile)
    runs = sorted(study.runs.values(), key=lambda run: str(run.folder.path))
    keys, values = distinguishing(runs, volatile)
    told = {run.id: found for run, found in zip(runs, values, strict=True)}
    if sort is None:
        metrics = {name for name in map(selected, runs) if name is not None}
        sort = next(iter(metrics)) if len(metrics) == 1 else None
    return RunTable(study, _sorted(runs, sort, told), keys, told, sort, volatile)


def _sorted(runs: Sequence[Run], sort: str | None, told: Mapping[str, Settings]) -> list[Run]:
    if sort is None or not runs:
        return list(runs)
    if sort in metric_names(runs):
        return best_first(runs, sort)
    if sort in FACTS:
        return sorted(runs, key=lambda run: _order(FACTS[sort](run)))
    if any(sort in settings for settings in told.values()):
        return sorted(runs, key=lambda run: _order(_typed(told[run.id].get(sort))))
    known = [*metric_names(runs), *dict.fromkeys(key for found in told.values() for key in found), *FACTS]
    raise UserError(f"action.sort must be a metric, a setting that differs or a column; got {sort!r}. "
                    f"{choices(sort, known)}")  # fmt: skip


def show_runs(table: RunTable, metrics: Sequence[str] | None) -> None:
    """Print a table of runs. metrics: those to show; null: what runs were selected by, of validation and test.

    Raises:
        UserError: no run has such a metric.
    """
    names = _shown_metrics(table, metrics)
    columns = [
        Column("#"),
        *(Column(key, folds=True) for key in table.keys),
        Column("state"),
        *(Column(name + {"higher": " ↑", "lower": " ↓"}.get(better(name) or "", "")) for name in names),
        *(Column(name) for name in _SHOWN),
        Column("run", folds=True),
    ]
    several = len(table.study.folders) > 1
    rows = [
        [
            str(place),
            *(table.values[run.id].get(key, "-") for key in table.keys),
            run.state,
            *(number(run.record.metrics.get(name)) for name in names),
            *(_shown(FACTS[name](run)) for name in _SHOWN),
            str(run.folder.path) if several else run.folder.path.name,
        ]
        for place, run in enumerate(table.runs, 1)
    ]
    print_table(f"runs of {table.study.name}{_order_in_words(table.sort)}", columns, rows)


def _order_in_words(sort: str | None) -> str:
    if sort is None:
        return ""
    direction = better(sort)
    return f", by {sort}" + (f", where {direction} is better" if direction else "")


def _shown_metrics(table: RunTable, metrics: Sequence[str] | None) -> list[str]:
    known = metric_names(table.runs)
    for name in metrics or ():
        if name not in known:
            raise UserError(f"action.metrics names {name!r}, which no run has. {choices(name, known)}")
    if metrics is not None:
        return list(metrics)
    by = sorted({name for name in map(selected, table.runs) if name is not None})
    both = [name for metric in by for name in (metric, metric.replace("val/", "test/", 1)) if name in known]
    return both + [table.sort] * (table.sort in known and table.sort not in both)  # type: ignore[list-item]


def runs_as_csv(table: RunTable) -> str:
    """Return a CSV of runs: a row for each, with all that was given to any of them, all metrics and all facts."""
    settings = all_settings(table.runs, table.volatile)
    keys = list(dict.fromkeys([*table.keys, *(key for found in settings for key in found)]))
    names = list(metric_names(table.runs))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["run", "id", "state", *keys, *names, *(fact for fact in FACTS if fact not in ("run", "id", "state"))]
    )
    for run, found in zip(table.runs, settings, strict=True):
        given = found | table.values[run.id]
        writer.writerow([
            run.folder.path, run.id, run.state,
            *(given.get(key, "") for key in keys),
            *(_as_csv(run.record.metrics.get(name)) for name in names),
            *(_as_csv(tell(run)) for fact, tell in FACTS.items() if fact not in ("run", "id", "state")),
        ])  # fmt: skip
    return text.getvalue()


def _as_csv(value: Value) -> Value:
    return "" if value is None or value != value else value


def _shown(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def _count(value: object) -> Value:
    """Return a number out of a record; None where something else stands there."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _rate_from(rate: Mapping[str, object]) -> str | None:
    """Return where a learning rate is from: `given`, or the source of the default, which says where it is untuned."""
    return str(rate.get("source") or rate.get("from") or "") or None


def _typed(text: str | None) -> Value:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _order(value: Value) -> tuple[int, float, str]:
    """Return what sorts values: numbers, then texts, then what is missing."""
    if value is None or value != value:
        return 2, 0.0, ""
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value), "")
