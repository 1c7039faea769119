"""The state of each cell of a study, from files alone: its plan, its runs' records and locks. Free of torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geocompose.errors import UserError
from geocompose.runs import RunFolder
from geocompose.runs.lock import holder
from geocompose.runs.record import Record, Status
from geocompose.studies.plan import Plan, PlanCell, PlanEvent, read_plan

# waiting: not begun. interrupted: begun and stopped from outside; it resumes. pruned: a search does not go on with it.
# refused: its parts don't fit together. unreadable: its record is damaged or foreign.
State = Literal["waiting", "running", "done", "failed", "refused", "interrupted", "pruned", "unreadable"]


@dataclass(frozen=True)
class CellState:
    """What is known of one cell.

    reason: why it failed, is refused, was interrupted or can't be read, or who computes it; "" where nothing is to be
    said. folder, record: of its run, where it has one. log: of its process, where there is one.
    """

    id: str
    state: State
    reason: str = ""
    folder: RunFolder | None = None
    record: Record | None = None
    log: Path | None = None


def states(study: Path) -> list[tuple[PlanCell, CellState]]:
    """Return each cell of a study's plan with its state, in the order of the plan.

    A cell that has no run and was planned again as another one (`Plan.is_outdated`) is left out.

    Raises:
        UserError: see `read_plan`.
    """
    plan = read_plan(study)
    folders = run_folders(study)
    return [
        (cell, state_of(study, cell.id, folders.get(cell.id), plan))
        for cell in plan.cells.values()
        if cell.id in folders or not plan.is_outdated(cell)
    ]


def run_folders(study: Path) -> dict[str, RunFolder]:
    """Return the runs of a study by their identities."""
    there = sorted(study.glob("*-*/record.json"), reverse=True)
    return {record.parent.name.rpartition("-")[2]: RunFolder(record.parent) for record in there}


def log_of(study: Path, identity: str) -> Path:
    """Return the file to which all that a cell's process writes is appended."""
    return study / "logs" / f"{identity}.log"


def state_of(study: Path, identity: str, folder: RunFolder | None, plan: Plan) -> CellState:
    """Return the state of one cell. folder: of its run, where it may have one.

    A damaged record is told, and hides no other cell.
    """
    try:
        state, record = ("absent", None) if folder is None else folder.look()
        if folder is None or state == "absent" or record is None:
            return _without_run(study, identity, plan)
        return state_of_run(folder, record, state)
    except UserError as error:
        return CellState(identity, "unreadable", str(error), folder, log=_log(study, identity))


def state_of_run(folder: RunFolder, record: Record, status: Status) -> CellState:
    """Return the state of a cell that has a record, whose status is known; what its plan says is older."""
    study, identity = folder.path.parent, record.run_id
    log = _log(study, identity) or (folder.log if folder.log.is_file() else None)
    if status == "completed":
        return CellState(identity, "done", "", folder, record, log)
    reason = f"by {holder(folder.path)}" if status == "running" else record.error or ""
    state: State = "pruned" if status == "interrupted" and record.stopped_by.get("how") == "pruned" else status
    return CellState(identity, state, reason, folder, record, log)


def _without_run(study: Path, identity: str, plan: Plan) -> CellState:
    if (refused := plan.refused(identity)) is not None:
        return CellState(identity, "refused", refused.reason)
    if (failed := plan.failed(identity)) is not None:
        return CellState(identity, "failed", failed.reason, log=_log(study, identity, failed))
    return CellState(identity, "waiting", log=_log(study, identity))


def _log(study: Path, identity: str, event: PlanEvent | None = None) -> Path | None:
    """Return the log of a cell's process: where it lies now, else where the plan says that it lay."""
    here = log_of(study, identity)
    if here.is_file():
        return here
    return None if event is None or event.log is None else Path(event.log)
