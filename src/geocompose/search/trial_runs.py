"""The runs of a search's trials: which run is a trial's, and what became of it. Free of torch."""

import logging
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geocompose.errors import UserError, counted
from geocompose.launchers.engine import Ended
from geocompose.launchers.planning import PlannedCell
from geocompose.launchers.runs import Judged
from geocompose.runs import Record, RunFolder
from geocompose.runs.epoch_rows import read_metrics
from geocompose.runs.lock import RunHeldError, is_held
from geocompose.runs.watching import Stop
from geocompose.search.journal import Journal
from geocompose.search.settings import Search
from geocompose.search.space import Space
from geocompose.search.trials import Trial
from geocompose.studies.closing_table import selected

log = logging.getLogger("geocompose")


@dataclass
class TrialRuns:
    """Begins and ends trials in the journal, by what is in the folders of their runs.

    make: returns the cell of overrides, or one with the error. owner: the folder whose lock this process holds as long
    as it lives. cells: of trials, by the ids of their runs.
    """

    settings: Search
    space: Space
    judged: Judged
    journal: Journal
    make: Callable[[list[str]], PlannedCell]
    owner: Path
    cells: dict[str, PlannedCell] = field(default_factory=dict)

    def begin(self, point: Mapping[str, Any], cell: PlannedCell, owner: str = "") -> int:
        """Begin a trial of a point, and return its number. owner: which process computes it; none yet."""
        assert cell.folder is not None
        told = {"run_id": cell.run_id, "folder": str(cell.folder.path), "owner": owner}
        return self.journal.begin(point, self.space.distributions(), told)

    def settle_orphans(self) -> None:
        """Take trials from processes that have died, and end those whose runs have ended meanwhile."""
        alive = {self.owner.name}
        for trial in self.journal.trials():
            if trial.state != "running" or trial.owner in alive:
                continue
            if not trial.owner:
                continue
            if is_held(self.owner.parent / Path(trial.owner).name):
                alive.add(trial.owner)
                continue
            self.settle(trial, None)
            shutil.rmtree(self.owner.parent / Path(trial.owner).name, ignore_errors=True)

    def settle(self, trial: Trial, end: Ended | None) -> str | None:
        """End a trial whose run has ended, and return in a word how. end: of its process; None where it died before."""
        cell = self.cell(trial)
        assert cell.folder is not None
        state, record = cell.folder.look()
        if state == "running":  # by a process that is none of ours
            self.release(trial)
            return None
        self._report(trial, cell)
        stop = {} if record is None else record.stopped_by
        ours = state == "interrupted" and stop.get("search") == self.journal.folder.name
        if state == "completed" and record is not None:
            return self._complete(trial, record)
        if ours and stop["how"] == "pruned":
            self.journal.prune(trial.number, str(stop["reason"]))
            return "pruned"
        paused = ours and stop["how"] == "paused"
        # A trial that nobody has begun yet may be the second one of a run that failed.
        begun = end is not None or (state == "failed" and trial.owner)
        if paused or not begun or (end is not None and end.how in ("held", "cancelled")):
            self.release(trial)
            return "paused" if paused and end is not None else None
        reason = "" if record is None else record.error or ""
        self._fail(trial, reason or ("" if end is None else end.reason) or "it ended without a record")
        return "failed"

    def release(self, trial: Trial) -> None:
        """Leave a trial to whoever asks next."""
        if trial.owner:
            self.journal.note(trial.number, "owner", "")

    def _report(self, trial: Trial, cell: PlannedCell) -> None:
        """Have the journal know the validation scores of all epochs."""
        assert cell.folder is not None
        rows = read_metrics(cell.folder.metrics)
        name = selected({column: 0.0 for row in rows for column in row}, self.judged.metric)
        if name is not None:
            scores = {int(row["epoch"]) + 1: row.get(f"val/{name}", math.nan) for row in rows}
            every = self.judged.every
            self.journal.report(trial.number, {epochs: score for epochs, score in scores.items() if not epochs % every})

    def _complete(self, trial: Trial, record: Record) -> str:
        name = self._selected(record)
        value = math.nan if name is None else record.metrics[f"val/{name}"]
        if math.isnan(value):
            self._fail(trial, f"its validation split gives no {name or 'score'}")
            return "failed"
        self.journal.complete(trial.number, value)
        return "done"

    def _fail(self, trial: Trial, reason: str) -> None:
        self.journal.fail(trial.number, reason)
        tried = sum(each.run_id == trial.run_id for each in self.journal.trials())
        if tried <= self.settings.retries:
            log.warning("trial %d failed (%s); it is tried again.", trial.number, reason)
            self.begin(trial.point, self.cell(trial))
        else:
            log.warning(
                "trial %d failed (%s), %s: it is left out of the search.", trial.number, reason, counted(tried, "time")
            )

    def eliminate(self, trial: Trial, reason: str) -> None:
        """End a trial that a halving does not go on with, and mark its run."""
        folder = self.folder_of(trial)
        name = self.journal.folder.name
        try:
            with folder.lock():
                if folder.status() == "interrupted":
                    folder.prune(
                        Stop(name, "pruned", max(trial.values, default=0), f"pruned by search {name}: {reason}")
                    )
        except RunHeldError as error:  # somebody goes on with the run by hand
            log.warning("%s", error)
        self.journal.prune(trial.number, reason)

    def status(self, trial: Trial) -> str:
        """Return how far a trial's run is, see `RunFolder.status`."""
        return self.folder_of(trial).status()

    def running(self, run_id: str) -> Trial | None:
        """Return the trial that a run is being computed for; None where it is of none any more."""
        found = [trial for trial in self.journal.trials() if trial.run_id == run_id and trial.state == "running"]
        return found[-1] if found else None

    def cell(self, trial: Trial) -> PlannedCell:
        """Return the cell of a trial.

        Raises:
            UserError: it would be another run today, or its point is none of the search's.
        """
        if trial.run_id not in self.cells:
            if not self.space.holds(trial.point):  # what a file says is data: nothing of it is composed
                raise UserError(
                    f"Trial {trial.number} of {self.journal.folder} is not a point of this search: its journal is "
                    "damaged or foreign. Move the folder away, and run the same command again."
                )
            cell = self.make(self.space.overrides(trial.point))
            if cell.run_id != trial.run_id:
                raise UserError(
                    f"Trial {trial.number} of {self.journal.folder} would be another run today: its data, its weights "
                    "or conf/ have changed since it was planned. Run the same command again, which begins a new search."
                )
            self.cells[trial.run_id] = cell
        return self.cells[trial.run_id]

    def folder_of(self, trial: Trial) -> RunFolder:
        """Return the folder of a trial's run."""
        folder = self.cell(trial).folder
        assert folder is not None
        return folder

    def metric(self, trial: Trial) -> str:
        """Return the metric by which a completed trial is judged."""
        return f"val/{self._selected(self.folder_of(trial).read())}"

    def _selected(self, record: Record) -> str | None:
        """Return the metric by which a run's epoch was chosen; that of several regression variables, a record knows."""
        return selected(record.metrics, record.training.get("selected_by", self.judged.metric))
