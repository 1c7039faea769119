"""How far a study is, in lines for a person: states, time left, who computes, the best so far, why cells failed."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from geocompose.console import number
from geocompose.errors import counted
from geocompose.runs import RunFolder
from geocompose.runs.lock import HOLDER_NAME, holder
from geocompose.scores import better
from geocompose.studies.closing_table import selected as selected_by
from geocompose.studies.estimate import duration
from geocompose.studies.reading import LoneCell, Run, StudyFiles
from geocompose.studies.settings import distinguishing
from geocompose.studies.states import State
from geocompose.studies.time_left import seconds_left


def selected(run: Run) -> str | None:
    """Return the metric by which a run's best epoch was chosen, such as `val/mIoU`; None where it has none yet."""
    name = selected_by(run.record.metrics, run.record.training.get("selected_by"))
    return None if name is None else f"val/{name}"


def progress(study: StudyFiles, volatile: Iterable[str]) -> Iterator[str]:
    """Yield the lines that say how far a study is. volatile: patterns of keys that change no result."""
    states = study.states()
    listed = ", ".join(f"{number_of} {state}" for state, number_of in states.items())
    yield f"{counted(sum(states.values()), 'cell')}: {listed}" if states else "no cells yet"
    yield from _time(study)
    yield from _running(study)
    yield from _best(study, tuple(volatile))
    yield from _reasons(study)


def _time(study: StudyFiles) -> Iterator[str]:
    spent = sum(run.record.seconds or 0.0 for run in study.runs.values())
    if spent:
        yield f"computed so far: {duration(spent)}"
    missing = study.of_state("waiting", "interrupted", "running")
    if not missing:
        return
    left = seconds_left(study)
    if left is None:
        yield "time left: not known, since no cell is finished"
        return
    line = f"time left: about {duration(left)} of computing for {counted(len(missing), 'cell')}, as finished ones took"
    at_once = len(study.of_state("running"))
    if at_once > 1:
        line += f"; about {duration(left / at_once)} with the {at_once} that are computed at once"
    yield line


def _running(study: StudyFiles) -> Iterator[str]:
    for run in sorted(study.of_state("running"), key=_path):
        assert isinstance(run, Run)
        yield f"running: {run.folder.path}"
        yield f"  {holder(run.folder.path)}; last sign of life {_ago(last_sign(run.folder), time.time())}"


def last_sign(run: RunFolder) -> float:
    """Return when a run's process last wrote anything, as seconds since 1970 by the clock of the disk; 0 for never."""
    return max(map(_written, (run.record, run.metrics, run.log, run.last, run.path / HOLDER_NAME)))


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # not written yet, or replaced at this moment
        return 0.0


def _ago(then: float, now: float) -> str:
    # Clocks of two machines differ, and one may be set back.
    return "just now" if now - then < 1 else f"{duration(now - then)} ago"


def _best(study: StudyFiles, volatile: tuple[str, ...]) -> Iterator[str]:
    done = [run for run in study.runs.values() if run.state == "done"]
    keys, values = distinguishing(done, volatile, filled=False)
    told = {run.id: found for run, found in zip(done, values, strict=True)}
    for (metric, data), runs in _compared(done).items():
        best = best_first(runs, metric)[0]
        of_data = f" on {data}" if data else ""
        yield f"best of {counted(len(runs), 'run')} by {metric}{of_data} ({better(metric)} is better): " + (
            f"{number(best.record.metrics[metric])}  {best.folder.path}"
        )
        settings = " ".join(f"{key}={told[best.id][key]}" for key in keys if key in told[best.id])
        if settings:
            yield f"  {settings}"


def _compared(done: Sequence[Run]) -> dict[tuple[str, str], list[Run]]:
    """Return the finished runs that can be compared: by the metric they are selected by, and the data."""
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in done:
        metric, data = selected(run), run.record.data
        if metric is not None:
            key = metric, str(data.get("name") or ""), str(data.get("fingerprint") or "")
            groups.setdefault(key, []).append(run)
    names = [(metric, name) for metric, name, _ in groups]
    # Data sets of one name are told apart by the beginning of their fingerprints.
    return {
        (metric, name if names.count((metric, name)) == 1 else f"{name} {mark[:10]}".strip()): runs
        for (metric, name, mark), runs in groups.items()
    }


def best_first(runs: Sequence[Run], metric: str) -> list[Run]:
    """Return runs by a metric, the best first; those where it is not defined come last."""
    sign = 1.0 if better(metric) == "lower" else -1.0

    def place(run: Run) -> tuple[bool, float, str]:
        value = run.record.metrics.get(metric)
        missing = value is None or value != value
        return missing, 0.0 if value is None or missing else sign * value, str(run.folder.path)

    return sorted(runs, key=place)


def _reasons(study: StudyFiles) -> Iterator[str]:
    """Yield why cells failed or were refused, those of one cause together, and what to do."""
    ends: tuple[State, ...] = ("failed", "refused")
    for state in ends:
        groups: dict[str, list[Run | LoneCell]] = {}
        for cell in study.of_state(state):
            groups.setdefault(cell.reason, []).append(cell)
        for reason, cells in sorted(groups.items(), key=lambda item: -len(item[1])):
            yield f"{state} ({len(cells)}): {reason or 'no reason is recorded'}"
            yield from (f"  {line}" for line in sorted(map(_named, cells)))
    if study.of_state("failed"):
        yield "retry=failed with the same command runs failed cells again."
    if study.of_state("interrupted", "waiting"):
        yield "The same command again computes what is interrupted or waiting."


def _named(cell: Run | LoneCell) -> str:
    if isinstance(cell, Run):
        return str(cell.log or cell.folder.path)
    said = " ".join(cell.cell.overrides) or cell.cell.id
    return f"{said} (log: {cell.log})" if cell.log else said


def _path(run: Run | LoneCell) -> str:
    return str(run.folder.path) if isinstance(run, Run) else run.cell.id


def metric_names(runs: Iterable[Run]) -> Mapping[str, None]:
    """Return the names of all metrics of runs, in the order of the records."""
    return dict.fromkeys(name for run in runs for name in run.record.metrics)
