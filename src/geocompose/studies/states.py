"""The state of each cell of a study, from files alone: its plan, its runs' records and locks. Free of torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geocompose.errors import UserError
from geocompose.runs import RunFolder
from geocompose.runs.lock import holder
from geocompose.runs.record import Record
from geocompose.studies.plan import Plan, PlanCell, read_plan

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

    Raises:
        UserError: see `read_plan`.
    """
    plan = read_plan(study)
    folders = run_folders(study)
    return [(cell, state_of(study, cell.id, folders.get(cell.id), plan)) for cell in plan.cells.values()]


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
    path = log_of(study, identity)
    log = path if path.is_file() else None
    try:
        found = None if folder is None else _of_run(identity, folder, log)
    except UserError as error:
        return CellState(identity, "failed", str(error), folder, log=log)
    if found is not None:
        return found
    if (refused := plan.refused(identity)) is not None:
        return CellState(identity, "refused", refused.reason)
    if (failed := plan.failed(identity)) is not None:
        return CellState(identity, "failed", failed.reason, log=log)
    return CellState(identity, "waiting", log=log)


def _of_run(identity: str, folder: RunFolder, log: Path | None) -> CellState | None:
    """Return the state of a cell that has a record; None where it has none."""
    status = folder.status()
    if status == "absent":
        return None
    record = folder.read()
    if status == "completed":
        return CellState(identity, "done", "", folder, record, log)
    reason = f"by {holder(folder.path)}" if status == "running" else record.error or ""
    return CellState(identity, status, reason, folder, record, log)
