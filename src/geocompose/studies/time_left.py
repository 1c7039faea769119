"""How long the rest of a study takes, by the recorded seconds of runs of the same parts."""

from collections.abc import Sequence
from statistics import median

from geocompose.studies.reading import LoneCell, Run, StudyFiles
from geocompose.studies.settings import NAMED, choices_of


def seconds_left(study: StudyFiles) -> float | None:
    """Return the computing time that waiting, interrupted and running cells still need; None where nothing tells.

    A cell takes the median of the finished runs of its backbone, decoder and PEFT method, else of its backbone, else of
    all. What it has computed already counts.
    """
    missing = study.of_state("waiting", "interrupted", "running")
    if not missing:
        return 0.0
    known = _Known([run for run in study.runs.values() if run.state == "done" and run.record.seconds])
    return None if known.empty else sum(max(0.0, known.of(cell) - _spent(cell)) for cell in missing)


def _spent(cell: Run | LoneCell) -> float:
    return (cell.record.seconds or 0.0) if isinstance(cell, Run) else 0.0


class _Known:
    """Seconds of finished runs, by their parts and by fewer of them."""

    def __init__(self, done: Sequence[Run]) -> None:
        self._seconds: dict[tuple[str | None, ...], list[float]] = {}
        for run in done:
            for parts in _parts(run):
                self._seconds.setdefault(parts, []).append(run.record.seconds or 0.0)
        self._medians: dict[tuple[str | None, ...], float] = {k: median(v) for k, v in self._seconds.items()}

    @property
    def empty(self) -> bool:
        return not self._medians

    def of(self, cell: Run | LoneCell) -> float:
        return next(self._medians[parts] for parts in _parts(cell) if parts in self._medians)


def _parts(cell: Run | LoneCell) -> list[tuple[str | None, ...]]:
    choices = choices_of(cell)
    return [tuple(choices.get(group) for group in NAMED), (choices.get(NAMED[0]),), ()]
