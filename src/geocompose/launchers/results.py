"""What became of a sweep's cells: how each stood before, how its process ended, and what its record says now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from geocompose.launchers.engine import Ended
from geocompose.launchers.planning import PlannedCell, reason_of
from geocompose.runs.other_code import CodeHere
from geocompose.studies.cells import Cell, outcome_of
from geocompose.studies.plan import Plan, read_plan
from geocompose.studies.standing import Standing
from geocompose.studies.states import CellState, state_of

_BEFORE = "before; retry=failed runs it again"
_OTHER_RUN = (
    "computed as another run: data, weights or code have changed since the sweep began. Run the same command again, "
    "which plans it anew"
)


@dataclass
class Course:
    """How a sweep went so far, by the identities of its runs.

    before: how each stood when the sweep began. refused: why its parts don't fit. ended: how its process ended.
    """

    before: dict[str, Standing] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)


@dataclass
class Results:
    """Reads what became of a sweep's cells."""

    course: Course

    def read(self, cells: Sequence[PlannedCell]) -> list[Cell]:
        """Return what became of each cell; of several with the same run the first one has computed it.

        Raises:
            UserError: a plan is damaged.
        """
        studies = {cell.study for cell in cells if cell.folder is not None}
        plans = {study: read_plan(study) for study in studies}
        seen: set[str] = set()
        found = []
        for cell in cells:
            found.append(self._result(cell, plans))
            if cell.run_id in seen and found[-1].status == "done":
                found[-1].status = "finished already"
            seen.add(cell.run_id)
        return found

    @cached_property
    def _here(self) -> CodeHere:
        return CodeHere()

    def _result(self, cell: PlannedCell, plans: Mapping[Path, Plan]) -> Cell:
        if cell.error is not None:
            return Cell(cell.overrides, "failed", reason=reason_of(cell))
        if cell.run_id in self.course.refused:
            return Cell(cell.overrides, "refused", reason=self.course.refused[cell.run_id])
        end = self.course.ended.get(cell.run_id)
        now = state_of(cell.study, cell.run_id, cell.folder, plans[cell.study])
        found = Cell(cell.overrides, "waiting", seconds=0.0 if end is None else end.seconds, log=now.log)
        found.reason = now.reason or ("" if end is None else end.reason)
        if now.state == "done":
            self._done(found, cell, end, now)
        elif end is not None and end.how == "held":
            found.status = "computed elsewhere"
        elif now.state == "failed":
            found.status = "failed"
            if self.course.before.get(cell.run_id) == "failed":
                found.reason = f"{now.reason} ({_BEFORE})"
        elif now.state == "waiting" and end is not None and end.how == "returned":
            found.status, found.reason = "failed", _OTHER_RUN
        elif now.state == "waiting":
            found.status = "waiting" if end is None else "interrupted"
        elif now.state == "running":
            found.status = "running" if self.course.before.get(cell.run_id) == "missing" else "computed elsewhere"
        elif now.state in ("interrupted", "pruned", "unreadable"):
            found.status = now.state
        return found

    def _done(self, found: Cell, cell: PlannedCell, end: Ended | None, now: CellState) -> None:
        assert now.folder is not None
        assert now.record is not None
        computed = end is not None and end.how != "held"
        if self.course.before.get(cell.run_id) == "finished":
            found.status = "finished already"
        else:
            found.status = "done" if computed else "computed elsewhere"
        found.outcome = outcome_of(now.folder, now.record, computed=computed, here=self._here)
        found.reason = ""
