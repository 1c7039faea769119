"""A search from the command line to the runs that it chose. Free of torch."""

import hashlib
import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from geocompose.catalog.optional import require
from geocompose.configuration.instantiation import instantiate
from geocompose.configuration.overrides import key_and_value
from geocompose.console import console
from geocompose.errors import UserError, counted, first_line
from geocompose.launchers.engine import LATER_S, AskingEngine, Engine, Job
from geocompose.launchers.in_process import InProcessEngine
from geocompose.launchers.in_turn import Jobs
from geocompose.launchers.plan_only import PlanOnlyEngine
from geocompose.launchers.planning import PlannedCell
from geocompose.launchers.progress import Progress
from geocompose.launchers.runs import Judged, runs_of
from geocompose.runs import RunHeldError
from geocompose.runs.lock import held
from geocompose.search.journal import Journal
from geocompose.search.outcome import best_of, show_choice, show_trials, why, write_outcome
from geocompose.search.searching import Searching
from geocompose.search.settings import NO_SEARCH, HalvingSearch, PrunedSearch, Search, check_interval_search
from geocompose.search.space import Space, space_of
from geocompose.search.trial_runs import TrialRuns
from geocompose.search.trials import counts

log = logging.getLogger("geocompose")

Compose = Callable[[list[str]], PlannedCell]


@dataclass
class SearchSweep:
    """Searches in the space of a command line, then computes what was chosen.

    jobs: shows how it ended. compose: returns the cell of overrides; raises what Hydra says where they can't be
    composed.
    """

    jobs: Jobs
    compose: Compose

    def run(self, overrides: Sequence[Override]) -> None:
        """Search, and compute what was chosen with its seeds; what the final runs became, `jobs` shows.

        Raises:
            UserError: the search can't be, or none of its trials could be computed.
            KeyboardInterrupt: it was stopped.
        """
        space = space_of(overrides)
        first, judged = self._checked(space, [str(each.input_line) for each in overrides if _is_of_search(each)])
        settings = self._settings(first, space, judged)
        engine = _engine(first)
        require("search")
        identity = _identity(settings, space, first)
        journal = Journal(first.study / "search" / identity, judged.better)
        owner = journal.folder / "sweeps" / f"{platform.node()}-{os.getpid()}-{os.urandom(3).hex()}"
        with held(owner):
            runs = TrialRuns(settings, space, judged, journal, self._cell, owner)
            searching = Searching(runs, self.jobs.command, self._progress(engine, 0))
            self._search(searching, engine)
        shutil.rmtree(owner, ignore_errors=True)  # a note that this process was there
        if not searching.finished:
            console().print("The search is not finished. The same command goes on with it.")
            return
        self._compute_chosen(searching)

    def _search(self, searching: Searching, engine: Engine) -> None:
        settings, space, journal = searching.runs.settings, searching.runs.space, searching.runs.journal
        with journal.locked():
            before = counts(journal.trials())
        if searching.again:
            searching.try_failed_again()
        wanted = space.size if settings.trials is None else settings.trials
        assert wanted is not None
        left = max(0, wanted - before.asked + before.running)
        console().print(
            f"search {journal.folder.name}: {settings.sampler} over {counted(len(space.dimensions), 'dimension')}, "
            f"{counted(wanted, 'trial')}, of which {before.asked - before.running} are over ({journal.folder})"
        )
        searching.progress = self._progress(engine, left)
        keys = [each.key.lstrip("+") for each in space.dimensions]

        def varied(overrides: Sequence[str]) -> str:
            return " ".join(text.lstrip("+") for text in overrides if key_and_value(text)[0] in keys)

        try:
            _feed(engine, searching, settings.batch)
        finally:
            show_trials(searching, varied, keys)
            write_outcome(searching, [])
        if searching.exhausted and settings.trials is not None and counts(journal.trials()).asked < settings.trials:
            console().print(
                f"No further point was found after {counted(counts(journal.trials()).asked, 'trial')} of "
                f"search.trials={settings.trials}: all others are known or impossible."
            )

    def _compute_chosen(self, searching: Searching) -> None:
        trials = searching.runs.journal.trials()
        best = best_of(trials, searching)
        if best is None:
            reasons = [trial.reason for trial in trials if trial.reason]
            raise UserError(
                f"None of {counted(len(trials), 'trial')} of the search could be computed"
                f"{f', the first one because: {reasons[0]}' if reasons else ''}. retry=failed tries failed ones again."
            )
        show_choice(searching)
        overrides = searching.runs.space.overrides(best.point)
        cells = [self._cell(each) for each in self._seeded(searching, overrides)]
        write_outcome(searching, cells)
        if not cells:
            return
        self.jobs.planned = [cell.overrides for cell in cells]
        try:
            self.jobs.compute(cells)
        finally:
            reason = why(searching)
            for cell in cells:
                _note_choice(cell, searching.runs.journal.folder.name, reason)

    def _seeded(self, searching: Searching, overrides: Sequence[str]) -> list[list[str]]:
        best = self._cell(list(overrides))
        assert best.experiment is not None
        first = int(best.experiment.config["seed"])
        rest = [text for text in overrides if key_and_value(text)[0] != "seed"]
        if searching.runs.settings.seeds == 1:
            return [list(overrides)]
        return [[*rest, f"seed={first + number}"] for number in range(searching.runs.settings.seeds)]

    # What the command line says

    def _checked(self, space: Space, of_search: list[str]) -> tuple[PlannedCell, Judged]:
        """Return the first cell, with the search's own settings, and how its runs are judged.

        Each value is composed once, so that a mistake is told before anything is computed.

        Raises:
            UserError: a value can't be, or its runs can't be judged like the others'.
        """
        found: Judged | None = None
        first: PlannedCell | None = None
        for point in space.checks():
            overrides = [*space.overrides(point), *(of_search if first is None else [])]
            self.jobs.composing = overrides
            cell = self.compose(overrides)
            if cell.error is not None:
                raise cell.error
            assert cell.experiment is not None
            assert cell.action is not None
            runs = runs_of(cell.action.function)
            if runs is None or runs.judged is None:
                raise UserError(f"A search is for runs that are fitted; {cell.action.target} is not searched.")
            judged = runs.judged(cell.experiment.config)
            if found is not None:
                _check_comparable(space.title(point), judged, found)
            found = judged if found is None else replace(found, frozen=max(found.frozen, judged.frozen))
            first = first or cell
        assert first is not None
        assert found is not None
        return first, found

    def _settings(self, first: PlannedCell, space: Space, judged: Judged) -> Search:
        assert first.experiment is not None
        config = first.experiment.config
        settings: Search = instantiate(config["search"])
        check_interval_search(settings, finite=space.size is not None)
        if config["rerun"]:
            raise UserError("rerun=true would compute each trial anew whenever the search goes on. Leave it out.")
        varies = [each.key for each in space.dimensions]
        prunes = isinstance(settings, HalvingSearch) or (
            isinstance(settings, PrunedSearch) and settings.pruner != "none"
        )
        if prunes and "trainer.max_epochs" in varies:
            raise UserError(
                "trainer.max_epochs can't be searched where trials are ended by the scores of their epochs: runs of "
                "other lengths have other schedules. Write search.pruner=none with search=tpe, random or grid."
            )
        if prunes and judged.num_epochs < 2:
            raise UserError(
                "Trials can't be ended early with trainer.max_epochs=1. Write more epochs, or search.pruner=none with "
                "search=tpe, random or grid."
            )
        return settings

    def _cell(self, overrides: list[str]) -> PlannedCell:
        """Return the cell of a point; one that can't be composed has the error."""
        try:
            cell = self.compose(overrides)
        except (HydraException, OmegaConfBaseException) as error:
            return PlannedCell(overrides, error=UserError(first_line(error.__cause__ or error)))
        if cell.experiment is not None:
            config = {**cell.experiment.config, "search": {"_target_": NO_SEARCH}}
            cell.experiment = replace(cell.experiment, config=config)
        return cell

    def _progress(self, engine: Engine, left: int) -> Progress:
        return Progress(left, one_at_a_time=getattr(engine, "workers", 0) == 1)


def _check_comparable(title: str, judged: Judged, first: Judged) -> None:
    """Refuse a point whose runs are judged by something else than those of the first one.

    Raises:
        UserError: says what differs.
    """
    if judged.metric != first.metric:
        raise UserError(
            f"{title}: these runs would be judged by {judged.metric}, others of the search by {first.metric}; one "
            "search has one metric. Give what decides it, such as task.select_by, one value."
        )
    differing = [key for key, value in first.depends_on.items() if judged.depends_on.get(key) != value]
    if differing:
        raise UserError(
            f"{title}: runs are judged by {judged.metric}, which measures something else with another "
            f"{' and '.join(differing)}. Give one value, or have another metric judge: task.select_by, where the task "
            "has it."
        )


def _is_of_search(override: Override) -> bool:
    return override.key_or_group.partition(".")[0] == "search"


def _engine(first: PlannedCell) -> Engine:
    assert first.experiment is not None
    node = first.experiment.config.get("launcher")
    engine: Engine = InProcessEngine() if node is None else instantiate(node)
    if isinstance(engine, PlanOnlyEngine):
        raise UserError(
            "launcher=plan_only can't plan a search, whose next trial follows from the scores of those before: use "
            "another launcher, or search=none."
        )
    if getattr(engine, "wait", True) is False:
        raise UserError("A search waits for its trials: leave launcher.wait=false out.")
    return engine


def _identity(settings: Search, space: Space, first: PlannedCell) -> str:
    """Return what tells a search from others: how it chooses, its space, and all that does not vary."""
    described = dict(sorted(space.described().items()))
    counts = [settings.kind, described, first.run_id]
    return hashlib.sha256(json.dumps(counts, sort_keys=True).encode()).hexdigest()[:10]


def _feed(engine: Engine, searching: Searching, batch: int) -> None:
    """Have an engine compute a search: asked by it, or in batches by us."""
    if isinstance(engine, AskingEngine):
        engine.compute_asked(searching.ask, searching.told)
        return
    hours = getattr(engine, "hours", None)
    until = time.monotonic() + (hours or float("inf")) * 3600
    while (left := until - time.monotonic()) > 0:
        jobs, over = _batch(searching, batch)
        if jobs:
            limited: Any = engine if hours is None else replace(engine, hours=left / 3600)  # type: ignore[type-var]
            limited.compute(jobs, searching.told)
        elif over:
            return
        else:
            time.sleep(LATER_S)


def _batch(searching: Searching, number: int) -> tuple[list[Job], bool]:
    jobs: list[Job] = []
    for _ in range(number):
        job = searching.ask()
        if job is None or job == "later":
            return jobs, job is None
        jobs.append(job)
    return jobs, False


def _note_choice(cell: PlannedCell, search: str, reason: dict[str, Any]) -> None:
    """Have the record of a completed run say what chose it."""
    if cell.folder is None:
        return
    try:
        with cell.folder.lock():
            if cell.folder.status() == "completed":
                cell.folder.choose(search, reason)
    except RunHeldError:
        return  # the process that computes it notes it
