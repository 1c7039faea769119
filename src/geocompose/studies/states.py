"""The state of each cell of a study, from files alone: its plan, its runs' records and locks. Free of torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geocompose.errors import UserError
from geocompose.runs import RunFolder
from geocompose.runs.lock import holder
from geocompose.runs.record import Record, Status
from geocompose.studies.plan import Plan, PlanCell, PlanEvent, read_plan

# waiting: not begun. interrupted: begun and stopped from outside; it resumes. refused: its parts don't fit together.
State = Literal["waiting", "running", "done", "failed", "refused", "interrupted"]


@dataclass(frozen=True)
class CellState:
    """What is known of one cell.

    reason: why it failed, is refused or was interrupted, or who computes it; "" where there is nothing to say. folder,
    record: of its run, where it has one. log: of its process, where there is one.
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

    A damaged record makes a failed cell: it is told, and hides no other.
    """
    try:
        state = "absent" if folder is None else folder.status()
        if folder is None or state == "absent":
            return _without_run(study, identity, plan)
        return state_of_run(folder, folder.read(), state, plan)
    except UserError as error:
        return CellState(identity, "failed", str(error), folder, log=_log(study, identity))


def state_of_run(folder: RunFolder, record: Record, status: Status, plan: Plan) -> CellState:
    """Return the state of a cell that has a record, whose status is known.

    The plan knows of an end that the run's process could not record.
    """
    study, identity = folder.path.parent, record.run_id
    log = _log(study, identity) or (folder.log if folder.log.is_file() else None)
    event = plan.failed(identity)
    newer = event is not None and event.at > (record.finished or record.started or "")
    if event is not None and newer and status in ("interrupted", "failed"):
        return CellState(identity, "failed", event.reason, folder, record, _log(study, identity, event) or log)
    if status == "completed":
        return CellState(identity, "done", "", folder, record, log)
    reason = f"by {holder(folder.path)}" if status == "running" else record.error or ""
    return CellState(identity, status, reason, folder, record, log)


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
