"""The trials of a search while they are computed: which is next, and what became of each. Free of torch."""

import hashlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from geocompose.errors import UserError, counted
from geocompose.launchers.computing import CellCall
from geocompose.launchers.endings import record_end
from geocompose.launchers.engine import Ended, Job, Started
from geocompose.launchers.planning import PlannedCell, reason_of
from geocompose.launchers.progress import Progress
from geocompose.launchers.runs import Judged
from geocompose.launchers.trials import news, refusals
from geocompose.runs import Record, RunFolder
from geocompose.runs.epoch_rows import read_metrics
from geocompose.runs.lock import RunHeldError, is_held
from geocompose.runs.watching import Stop, Watch
from geocompose.search import halving
from geocompose.search.journal import Journal
from geocompose.search.proposals import proposals
from geocompose.search.settings import HalvingSearch, PrunedSearch, Search
from geocompose.search.space import Space
from geocompose.search.trials import Trial, counts, points
from geocompose.search.watches import Pruning, Rung
from geocompose.studies.closing_table import selected
from geocompose.studies.plan import add_cells, add_events

log = logging.getLogger("geocompose")


@dataclass
class Searching:
    """One process's part in a search, which others may share.

    make: returns the cell of overrides, or one with the error. owner: the folder whose lock this process holds as long
    as it lives. command: the program's arguments as they were typed. cells: of trials, by the ids of their runs.
    exhausted: whether no new point was found. finished: whether all trials have ended.
    """

    settings: Search
    space: Space
    judged: Judged
    journal: Journal
    make: Callable[[list[str]], PlannedCell]
    owner: Path
    command: Sequence[str]
    progress: Progress
    cells: dict[str, PlannedCell] = field(default_factory=dict)
    exhausted: bool = False
    finished: bool = False
    _possible: set[str] = field(default_factory=set)
    _handed: set[str] = field(default_factory=set)

    def ask(self) -> Job | Literal["later"] | None:
        """Return the next job; see `geocompose.launchers.engine.Ask`."""
        with self.journal.locked():
            while True:
                self._settle_orphans()
                trials = self.journal.trials()
                if not self.exhausted and not self._is_full(trials):
                    if (job := self._new_job(trials)) is not None:
                        return job
                    continue
                waiting, until = self._waiting(trials)
                free = [trial for trial in waiting if not trial.owner and self._status(trial) != "running"]
                if free and self._settle(free[0], None) is not None:
                    continue  # another command has computed it meanwhile
                if free:
                    self.journal.note(free[0].number, "owner", self.owner.name)
                    return self._job(free[0].number, self._cell(free[0]), until)
                self.finished = not waiting
                return "later" if waiting else None

    def told(self, event: Started | Ended) -> None:
        """Take what an engine tells."""
        word = None
        if isinstance(event, Ended):
            with self.journal.locked():
                trial = self._running(event.job.run_id)
                record_end(self.cells[event.job.run_id], event)
                if trial is not None:
                    word = self._settle(trial, event)
        self.progress.tell(event, word)

    def try_failed_again(self) -> None:
        """Have failed points tried once more (retry=failed)."""
        with self.journal.locked():
            for trial in points(self.journal.trials()):
                if trial.state == "failed":
                    self._begin(trial.point, self._cell(trial))

    # What is next

    def _is_full(self, trials: Sequence[Trial]) -> bool:
        limit = self.settings.trials
        return limit is not None and len(points(trials)) >= limit

    def _waiting(self, trials: Sequence[Trial]) -> tuple[list[Trial], int | None]:
        """Return the trials that have still something to compute, and to which epoch (None: to the end)."""
        if not isinstance(self.settings, HalvingSearch):
            return [trial for trial in trials if trial.state == "running"], None
        rungs = halving.rungs(self.judged, self.settings.min_epochs, self.settings.factor)
        now = halving.standing(trials, rungs, self.settings.factor, self.judged.better)
        for trial, reason in now.eliminated:
            self._eliminate(trial, reason)
        return now.open, now.epochs

    def _new_job(self, trials: Sequence[Trial]) -> Job | None:
        """Begin a trial of a new point, and return its job; None where it needs none, or where no point was found."""
        runs = {trial.run_id for trial in trials if trial.run_id}
        known = {tuple(trial.point[each.key] for each in self.space.dimensions) for trial in trials}
        impossible = {trial.composition for trial in trials if trial.state == "refused"}
        for point in proposals(self.settings, self.space, self.journal):
            values = tuple(point[each.key] for each in self.space.dimensions)
            if values in known:
                continue
            known.add(values)
            cell = self.make(self.space.overrides(point))
            if cell.run_id in runs:
                continue
            composition = _composition(cell)
            if composition in impossible:
                continue
            if (reason := self._refusal(cell)) is None:
                return self._first_job(point, cell)
            impossible.add(composition)
            self._refuse(point, cell, composition, reason)
        self.exhausted = True
        return None

    def _first_job(self, point: Mapping[str, Any], cell: PlannedCell) -> Job | None:
        add_cells(cell.study, [cell.in_plan()])
        number = self._begin(point, cell, self.owner.name)
        trial = self.journal.trials()[number]
        if self._status(trial) == "completed":  # by another command
            self._settle(trial, None)
            return None
        if isinstance(self.settings, HalvingSearch):  # who comes to the first rung is computed in the round's order
            self._release(trial)
            return None
        return self._job(number, cell, None)

    def _job(self, number: int, cell: PlannedCell, until: int | None) -> Job:
        assert cell.experiment is not None
        assert cell.action is not None
        assert cell.folder is not None
        # The test split stays closed: no trial can be chosen by it.
        arguments = {**cell.action.arguments, **({"test": False} if "test" in cell.action.arguments else {})}
        experiment = replace(
            cell.experiment, config={**cell.experiment.config, "retry": "failed"}, watch=self._watch(number, until)
        )
        call = CellCall(
            experiment, replace(cell.action, arguments=arguments), cell.folder.path, cell.log, tuple(self.command)
        )
        self.cells[cell.run_id] = cell
        if cell.run_id in self._handed:  # for its next rung, or since it failed
            self.progress.more(1)
        self._handed.add(cell.run_id)
        title = f"trial {number}: {self.space.title(self.journal.trials()[number].point)}"
        return Job(cell.run_id, title, call, cell.log)

    def _watch(self, number: int, until: int | None) -> Watch | None:
        if until is not None:
            return Rung(self.journal.folder.name, until)
        if isinstance(self.settings, PrunedSearch) and self.settings.pruner != "none":
            return Pruning(self.journal.folder, number, self.journal.better, self.settings, self.judged.num_epochs)
        return None

    def _begin(self, point: Mapping[str, Any], cell: PlannedCell, owner: str = "") -> int:
        assert cell.folder is not None
        told = {"run_id": cell.run_id, "folder": str(cell.folder.path), "owner": owner}
        return self.journal.begin(point, self.space.distributions(), told)

    # What can't be

    def _refusal(self, cell: PlannedCell) -> str | None:
        """Return why a cell is impossible; each distinct composition is tried once."""
        if cell.error is not None:
            return reason_of(cell)
        composition = _composition(cell)
        if composition not in self._possible:
            assert cell.folder is not None
            if not cell.folder.record.exists() and (reason := refusals([cell]).get(cell.run_id)) is not None:
                return reason
            self._possible.add(composition)
        return None

    def _refuse(self, point: Mapping[str, Any], cell: PlannedCell, composition: str, reason: str) -> None:
        told = {"run_id": cell.run_id, "refused": reason, "composition": composition}
        self.journal.begin(point, self.space.distributions(), told, state="refused")
        log.warning("refused: %s (%s)", self.space.title(point), reason)
        if cell.folder is not None:
            plan = add_cells(cell.study, [cell.in_plan()])
            add_events(cell.study, news([cell], {cell.run_id: reason}, plan))

    # What became of trials

    def _settle_orphans(self) -> None:
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
            self._settle(trial, None)

    def _settle(self, trial: Trial, end: Ended | None) -> str | None:
        """End a trial whose run has ended, and return in a word how. end: of its process; None where it died before."""
        cell = self._cell(trial)
        assert cell.folder is not None
        state, record = cell.folder.look()
        if state == "running":  # by a process that is none of ours
            self._release(trial)
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
            self._release(trial)
            return "paused" if paused and end is not None else None
        reason = "" if record is None else record.error or ""
        self._fail(trial, reason or ("" if end is None else end.reason) or "it ended without a record")
        return "failed"

    def _release(self, trial: Trial) -> None:
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
            self._begin(trial.point, self._cell(trial))
        else:
            log.warning(
                "trial %d failed (%s), %s: it is left out of the search.", trial.number, reason, counted(tried, "time")
            )

    def _eliminate(self, trial: Trial, reason: str) -> None:
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

    def _status(self, trial: Trial) -> str:
        return self.folder_of(trial).status()

    def _running(self, run_id: str) -> Trial | None:
        found = [trial for trial in self.journal.trials() if trial.run_id == run_id and trial.state == "running"]
        return found[-1] if found else None

    def _cell(self, trial: Trial) -> PlannedCell:
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

    @property
    def again(self) -> bool:
        """Whether the command line asks for what failed (retry=failed)."""
        return any(text == "retry=failed" for text in self.space.fixed)

    def folder_of(self, trial: Trial) -> RunFolder:
        """Return the folder of a trial's run."""
        folder = self._cell(trial).folder
        assert folder is not None
        return folder

    def metric(self, trial: Trial) -> str:
        """Return the metric by which a completed trial is judged."""
        return f"val/{self._selected(self.folder_of(trial).read())}"

    def _selected(self, record: Record) -> str | None:
        """Return the metric by which a run's epoch was chosen; that of several regression variables, a record knows."""
        return selected(record.metrics, record.training.get("selected_by", self.judged.metric))

    def summary(self) -> str:
        """Return in a line how far the search is."""
        found = counts(self.journal.trials())
        return f"{counted(found.asked, 'trial')}: {found}"


def _composition(cell: PlannedCell) -> str:
    """Return what tells a composition from others; of one that can't be composed, its error."""
    text = reason_of(cell) if cell.error is not None else cell.composition()
    return hashlib.sha256(text.encode()).hexdigest()[:16]
