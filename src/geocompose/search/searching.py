"""The trials of a search while they are computed: which is next, and which can't be. Free of torch."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from geocompose.errors import counted
from geocompose.launchers.computing import CellCall
from geocompose.launchers.endings import record_end
from geocompose.launchers.engine import Ended, Job, Started
from geocompose.launchers.planning import PlannedCell, reason_of
from geocompose.launchers.progress import Progress
from geocompose.launchers.trials import news, refusals
from geocompose.runs.watching import Watch
from geocompose.search import halving
from geocompose.search.proposals import proposals
from geocompose.search.settings import HalvingSearch, PrunedSearch
from geocompose.search.trial_runs import TrialRuns
from geocompose.search.trials import Trial, counts, points
from geocompose.search.watches import Pruning, Rung
from geocompose.studies.plan import add_cells, add_events

log = logging.getLogger("geocompose")


@dataclass
class Searching:
    """One process's part in a search, which others may share.

    runs: of its trials. command: the program's arguments as they were typed. exhausted: whether no new point was found.
    finished: whether all trials have ended.
    """

    runs: TrialRuns
    command: Sequence[str]
    progress: Progress
    exhausted: bool = False
    finished: bool = False
    _possible: set[str] = field(default_factory=set)
    _handed: set[str] = field(default_factory=set)

    def ask(self) -> Job | Literal["later"] | None:
        """Return the next job; see `geocompose.launchers.engine.Ask`."""
        with self.runs.journal.locked():
            while True:
                self.runs.settle_orphans()
                trials = self.runs.journal.trials()
                if not self.exhausted and not self._is_full(trials):
                    if (job := self._new_job(trials)) is not None:
                        return job
                    continue
                waiting, until = self._waiting(trials)
                free = [trial for trial in waiting if not trial.owner and self.runs.status(trial) != "running"]
                if free and self.runs.settle(free[0], None) is not None:
                    continue  # another command has computed it meanwhile
                if free:
                    self.runs.journal.note(free[0].number, "owner", self.runs.owner.name)
                    return self._job(free[0].number, self.runs.cell(free[0]), until)
                self.finished = not waiting
                return "later" if waiting else None

    def told(self, event: Started | Ended) -> None:
        """Take what an engine tells."""
        word = None
        if isinstance(event, Ended):
            with self.runs.journal.locked():
                trial = self.runs.running(event.job.run_id)
                record_end(self.runs.cells[event.job.run_id], event)
                if trial is not None:
                    word = self.runs.settle(trial, event)
        self.progress.tell(event, word)

    def try_failed_again(self) -> None:
        """Have failed points tried once more (retry=failed)."""
        with self.runs.journal.locked():
            for trial in points(self.runs.journal.trials()):
                if trial.state == "failed":
                    self.runs.begin(trial.point, self.runs.cell(trial))

    # What is next

    def _is_full(self, trials: Sequence[Trial]) -> bool:
        limit = self.runs.settings.trials
        return limit is not None and len(points(trials)) >= limit

    def _waiting(self, trials: Sequence[Trial]) -> tuple[list[Trial], int | None]:
        """Return the trials that have still something to compute, and to which epoch (None: to the end)."""
        settings, judged = self.runs.settings, self.runs.judged
        if not isinstance(settings, HalvingSearch):
            return [trial for trial in trials if trial.state == "running"], None
        rungs = halving.rungs(judged, settings.min_epochs, settings.factor)
        now = halving.standing(trials, rungs, settings.factor, judged.better)
        for trial, reason in now.eliminated:
            self.runs.eliminate(trial, reason)
        return now.open, now.epochs

    def _new_job(self, trials: Sequence[Trial]) -> Job | None:
        """Begin a trial of a new point, and return its job; None where it needs none, or where no point was found."""
        space = self.runs.space
        run_ids = {trial.run_id for trial in trials if trial.run_id}
        known = {tuple(trial.point[each.key] for each in space.dimensions) for trial in trials}
        impossible = {trial.composition for trial in trials if trial.state == "refused"}
        for point in proposals(self.runs.settings, space, self.runs.journal):
            values = tuple(point[each.key] for each in space.dimensions)
            if values in known:
                continue
            known.add(values)
            cell = self.runs.make(space.overrides(point))
            if cell.run_id in run_ids:
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
        number = self.runs.begin(point, cell, self.runs.owner.name)
        trial = self.runs.journal.trials()[number]
        if self.runs.status(trial) == "completed":  # by another command
            self.runs.settle(trial, None)
            return None
        if isinstance(self.runs.settings, HalvingSearch):
            self.runs.release(trial)  # who comes to the first rung is computed in the round's order
            return None
        return self._job(number, cell, None)

    def _job(self, number: int, cell: PlannedCell, until: int | None) -> Job:
        assert cell.experiment is not None
        assert cell.action is not None
        assert cell.folder is not None
        # The test split stays closed: no trial can be chosen by it.
        arguments = {**cell.action.arguments, **({"test": False} if "test" in cell.action.arguments else {})}
        config = {**cell.experiment.config, "retry": "failed"}
        brief = self.progress.one_at_a_time and bool(self._handed)
        experiment = replace(cell.experiment, config=config, brief=brief, watch=self._watch(number, until))
        call = CellCall(
            experiment, replace(cell.action, arguments=arguments), cell.folder.path, cell.log, tuple(self.command)
        )
        self.runs.cells[cell.run_id] = cell
        if cell.run_id in self._handed:  # for its next rung, or since it failed
            self.progress.more(1)
        self._handed.add(cell.run_id)
        title = f"trial {number}: {self.runs.space.title(self.runs.journal.trials()[number].point)}"
        return Job(cell.run_id, title, call, cell.log)

    def _watch(self, number: int, until: int | None) -> Watch | None:
        settings, journal = self.runs.settings, self.runs.journal
        if until is not None:
            return Rung(journal.folder.name, until)
        if isinstance(settings, PrunedSearch) and settings.pruner != "none":
            return Pruning(journal.folder, number, journal.better, settings, self.runs.judged.num_epochs)
        return None

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
        self.runs.journal.begin(point, self.runs.space.distributions(), told, state="refused")
        log.warning("refused: %s (%s)", self.runs.space.title(point), reason)
        if cell.folder is not None:
            plan = add_cells(cell.study, [cell.in_plan()])
            add_events(cell.study, news([cell], {cell.run_id: reason}, plan))

    @property
    def again(self) -> bool:
        """Whether the command line asks for what failed (retry=failed)."""
        return any(text == "retry=failed" for text in self.runs.space.fixed)

    def summary(self) -> str:
        """Return in a line how far the search is."""
        found = counts(self.runs.journal.trials())
        return f"{counted(found.asked, 'trial')}: {found}"


def _composition(cell: PlannedCell) -> str:
    """Return what tells a composition from others; of one that can't be composed, its error."""
    text = reason_of(cell) if cell.error is not None else cell.composition()
    return hashlib.sha256(text.encode()).hexdigest()[:16]
