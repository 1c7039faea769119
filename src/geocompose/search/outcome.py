"""What a search has found: its table, and the file that says how it chose. Free of torch."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from geocompose.configuration.overrides import says_how
from geocompose.console import console, number
from geocompose.launchers.planning import PlannedCell
from geocompose.runs.atomic import write_json
from geocompose.runs.environment import utc_now
from geocompose.runs.other_code import CodeHere
from geocompose.search.searching import Searching
from geocompose.search.settings import HalvingSearch
from geocompose.search.trials import Trial, best_first, counts, points
from geocompose.studies.cells import Cell, CellStatus, outcome_of
from geocompose.studies.closing import show_closing

_STATES: dict[str, CellStatus] = {
    "completed": "done", "pruned": "pruned", "failed": "failed", "refused": "refused", "running": "interrupted",
}  # fmt: skip


def best_of(trials: Sequence[Trial], searching: Searching) -> Trial | None:
    """Return the trial that a search chooses: the completed one with the best validation score."""
    found = best_first(trials, searching.runs.judged.better)
    return found[0] if found else None


def show_trials(searching: Searching, varied: Callable[[Sequence[str]], str], keys: Sequence[str]) -> None:
    """Print the table of a search's trials, the best first, and why some failed."""
    trials = searching.runs.journal.trials()
    shown = [*points(trials), *(trial for trial in trials if trial.state == "refused")]
    here = CodeHere()
    cells = [_cell(searching, trial, here) for trial in shown]
    show_closing(cells, keys, len(cells), varied, rank=True, numbers=[trial.number for trial in shown])


def _cell(searching: Searching, trial: Trial, here: CodeHere) -> Cell:
    cell = Cell(searching.runs.space.overrides(trial.point), _STATES[trial.state], reason=trial.reason)
    if trial.state == "completed":
        folder = searching.runs.folder_of(trial)
        cell.outcome = outcome_of(folder, folder.read(), computed=False, here=here)
    return cell


def why(searching: Searching) -> dict[str, Any]:
    """Return what the record of a chosen run says: among how many trials, in which space, by which metric."""
    trials = searching.runs.journal.trials()
    best = best_of(trials, searching)
    assert best is not None
    return {
        "search": str(searching.runs.journal.folder), **searching.runs.settings.kind,
        "space": searching.runs.space.described(), "fixed": _own(searching.runs.space.fixed),
        "trials": asdict(counts(trials)), "trial": best.number, "run_id": best.run_id,
        "metric": searching.runs.metric(best), "better": searching.runs.judged.better, "value": best.value,
    }  # fmt: skip


def write_outcome(searching: Searching, chosen: Sequence[PlannedCell]) -> Path:
    """Write what a search has found beside its journal's folder, and return the file.

    Raises:
        UserError: it can't be written.
    """
    trials = searching.runs.journal.trials()
    best = best_of(trials, searching)
    found: dict[str, Any] = {
        "id": searching.runs.journal.folder.name, "written": utc_now(), **searching.runs.settings.kind,
        "finished": searching.finished, "exhausted": searching.exhausted,
        "space": searching.runs.space.described(), "fixed": _own(searching.runs.space.fixed),
        "better": searching.runs.judged.better, "trials": asdict(counts(trials)), "best": None,
        "chosen": [cell.run_id for cell in chosen],
        "tried": [
            {"trial": each.number, "state": each.state, "point": dict(each.point), "value": each.value}
            for each in points(trials)
        ],
    }  # fmt: skip
    if best is not None:
        found["metric"] = searching.runs.metric(best)
        overrides = _own(searching.runs.space.overrides(best.point))
        found["best"] = {"trial": best.number, "value": best.value, "overrides": overrides, "run_id": best.run_id}
    path = searching.runs.journal.folder.with_suffix(".json")
    write_json(path, found)
    return path


def show_choice(searching: Searching) -> None:
    """Say in lines which trial was chosen, among how many."""
    trials = searching.runs.journal.trials()
    best = best_of(trials, searching)
    assert best is not None
    assert best.value is not None
    pruned = " Those that were left behind have no score." if isinstance(searching.runs.settings, HalvingSearch) else ""
    console().print(
        f"chosen by search {searching.runs.journal.folder.name}, {searching.summary()}: trial {best.number}, "
        f"{searching.runs.metric(best)} {number(best.value)}.{pruned}\n  {searching.runs.space.title(best.point)}"
    )


def _own(overrides: Sequence[str]) -> list[str]:
    """Return overrides without those that say how one command computes."""
    return [text for text in overrides if not says_how(text)]
