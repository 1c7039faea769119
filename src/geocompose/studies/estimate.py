"""What a sweep is going to cost, from finished runs of the same parts."""

import os
import statistics
from collections.abc import Sequence
from pathlib import Path

from geocompose.errors import UserError, counted, size_in_words
from geocompose.runs import RunFolder

_ASKED = 5  # recorded runs of the same parts: more would cost time and say the same


def estimate(waiting: Sequence[RunFolder], total: int, finished: int, workers: int = 1) -> str:
    """Return a line: how many cells, how many of them are finished, and what the others take of time and disk.

    waiting: the folders of those to be computed, whose names begin with their parts. workers: how many at a time.
    """
    known: dict[tuple[Path, str], list[tuple[float, int]]] = {}
    for folder in waiting:
        key = folder.path.parent, _parts(folder.path)
        if key not in known:
            known[key] = _recorded(*key)
    start = f"{counted(total, 'cell')}: {finished} finished, {len(waiting)} to compute"
    told = [known[folder.path.parent, _parts(folder.path)] for folder in waiting]
    costs = [cost for cost in told if cost]
    if not costs:
        return f"{start}. What they take is not known: no run of these parts has finished here."
    seconds = sum(statistics.median(second for second, _ in cost) for cost in costs) / workers
    size = sum(statistics.median(byte for _, byte in cost) for cost in costs)
    unknown = len(told) - len(costs)
    rest = f"; of the other {counted(unknown, 'cell')} no run of the same parts has finished here" if unknown else ""
    at_a_time = f" ({workers} at a time)" if workers > 1 else ""
    some = f" for {len(costs)} of them" if unknown else ""
    return f"{start}, about {duration(seconds)}{at_a_time} and {size_in_words(size)} on disk{some}{rest}."


def duration(seconds: float) -> str:
    """Return a time in words, such as `2 h 10 min`, `4 min` or `12 s`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{round(minutes / 60 / 24, 1):g} days"


def _parts(folder: Path) -> str:
    return folder.name.rpartition("-")[0]


def _recorded(study: Path, parts: str) -> list[tuple[float, int]]:
    """Return seconds and bytes of finished runs of the same parts: of the same study, or else of all studies."""
    for places in ([study], sorted(path for path in study.parent.iterdir() if path != study)):
        found: list[tuple[float, int]] = []
        for folder in (path for place in places for path in place.glob(f"{parts}-*") if _parts(path) == parts):
            if len(found) < _ASKED and (cost := _cost(folder)) is not None:
                found.append(cost)
        if found:
            return found
    return []


def _cost(folder: Path) -> tuple[float, int] | None:
    run = RunFolder(folder)
    try:
        record = run.read() if run.record.is_file() else None
    except UserError:
        return None  # a damaged record is told where that run is asked for
    if record is None or record.status != "completed" or record.seconds is None:
        return None
    size = 0
    for parent, _, names in os.walk(folder):
        size += sum(os.lstat(os.path.join(parent, name)).st_size for name in names)
    return record.seconds, size
