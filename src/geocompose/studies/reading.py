"""What lies in studies, read from files alone: runs with their records and states, cells without a run, damaged files.

Several folders are read as one study, whose runs count once each: the one that got furthest stands for those of its id.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from geocompose.errors import UserError, counted, shortened, unwrapped
from geocompose.runs import Record, RunFolder
from geocompose.studies.plan import PlanCell, read_plan
from geocompose.studies.states import State, state_of, state_of_run

_LOG = logging.getLogger("geocompose")

STATES: tuple[State, ...] = ("done", "running", "waiting", "interrupted", "pruned", "failed", "refused", "unreadable")
_FURTHEST: Sequence[State] = ("done", "running", "interrupted", "pruned", "failed")


@dataclass(frozen=True)
class Run:
    """A run whose record was read. reason, log: why it failed or was stopped, and where to read more."""

    folder: RunFolder
    record: Record
    state: State
    reason: str = ""
    log: Path | None = None

    @property
    def id(self) -> str:
        """The run's identity."""
        return self.record.run_id


@dataclass(frozen=True)
class LoneCell:
    """A cell of a plan that has no run: waiting, refused, or failed before it had a folder."""

    cell: PlanCell
    state: State
    reason: str = ""
    log: Path | None = None


@dataclass
class StudyFiles:
    """All that is known of one study, or of several as one.

    folders: where it lies. runs: by id. cells: those of the plans that have no run, by id. damaged: records that can't
    be read, each with the reason; no run stands for them.
    """

    folders: Sequence[Path]
    runs: dict[str, Run] = field(default_factory=dict)
    cells: dict[str, LoneCell] = field(default_factory=dict)
    damaged: dict[Path, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What to call it: the folders' paths."""
        return ", ".join(map(str, self.folders))

    def states(self) -> dict[State, int]:
        """Return how many cells are in which state; states without a cell are left out."""
        found = [run.state for run in self.runs.values()] + [cell.state for cell in self.cells.values()]
        found += ["unreadable"] * len(self.damaged)
        return {state: found.count(state) for state in STATES if state in found}

    def of_state(self, *states: State) -> list[Run | LoneCell]:
        """Return the runs and cells in some states."""
        every: list[Run | LoneCell] = [*self.runs.values(), *self.cells.values()]
        return [each for each in every if each.state in states]

    def tell_damaged(self) -> None:
        """Say in a line which records can't be read."""
        if self.damaged:
            reasons = shortened(dict.fromkeys(self.damaged.values()), 3)
            _LOG.warning("%s can't be read and left out: %s", counted(len(self.damaged), "record"), reasons)


def read_studies(folders: Sequence[Path]) -> StudyFiles:
    """Return what lies in the folders of one study, or of several.

    Raises:
        UserError: a folder can't be read, or its plan is damaged.
    """
    found = StudyFiles(list(folders))
    plans = [(folder, read_plan(folder)) for folder in folders]
    damaged: dict[str, tuple[Path, str]] = {}
    for folder, plan in plans:
        if plan.cut:
            _LOG.warning("The last line of the plan in %s is cut short; it is left out.", folder)
        for run in _runs(folder, damaged):
            found.runs[run.id] = _furthest(found.runs.get(run.id), run)
    # A readable copy of a run, in another folder, stands for it.
    found.damaged = {path: reason for identity, (path, reason) in damaged.items() if identity not in found.runs}
    for folder, plan in plans:
        for cell in plan.cells.values():
            if cell.id not in found.runs and cell.id not in damaged:
                if plan.is_outdated(cell):
                    continue
                state = state_of(folder, cell.id, None, plan)
                lone = LoneCell(cell, state.state, state.reason, state.log)
                if cell.id not in found.cells or found.cells[cell.id].state == "waiting":
                    found.cells[cell.id] = lone
    return found


def _runs(folder: Path, damaged: dict[str, tuple[Path, str]]) -> Iterator[Run]:
    for path in sorted(folder.glob("*/record.json")):
        run = RunFolder(path.parent)
        try:
            if path.exists() and not path.is_file():
                raise UserError(f"{path} is not a file.")
            state, record = run.look()
        except (UserError, OSError) as error:
            if path.exists():  # else it was begun anew a moment ago
                damaged[run.path.name.rpartition("-")[2]] = path, unwrapped(error)
            continue
        if state != "absent" and record is not None:
            found = state_of_run(run, record, state)
            yield Run(run, record, found.state, found.reason, found.log)


def _furthest(first: Run | None, second: Run) -> Run:
    if first is None:
        return second
    if first.folder.path.parent == second.folder.path.parent:
        _LOG.warning("%s and %s are of one run; it counts once.", first.folder.path, second.folder.path)
    if first.state == second.state == "done" and not _same_metrics(first.record, second.record):
        _LOG.warning(
            "Run %s is finished in %s and in %s with other metrics; those of the first are shown.",
            first.id, first.folder.path, second.folder.path,
        )  # fmt: skip
    return min(first, second, key=lambda run: _FURTHEST.index(run.state))


def _same_metrics(first: Record, second: Record) -> bool:
    # repr, since NaN is NaN here
    return repr(sorted(first.metrics.items())) == repr(sorted(second.metrics.items()))
