"""A planned sweep: what is missing is tried, handed to an engine, and read back from the records. Free of torch."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from geocompose.configuration.instantiation import instantiate
from geocompose.console import console
from geocompose.errors import UserError
from geocompose.launchers.computing import CellCall
from geocompose.launchers.endings import record_end
from geocompose.launchers.engine import Ended, Engine, Job, Started
from geocompose.launchers.in_process import InProcessEngine
from geocompose.launchers.plan_only import PlanOnlyEngine
from geocompose.launchers.planning import PlannedCell, reason_of
from geocompose.launchers.progress import Progress
from geocompose.launchers.results import Course, Results
from geocompose.launchers.trials import news, refusals
from geocompose.runs.atomic import RefusedError
from geocompose.studies.cells import Cell
from geocompose.studies.cells_csv import write_cells_csv
from geocompose.studies.estimate import estimate
from geocompose.studies.grouped import grouped
from geocompose.studies.plan import Plan, add_cells, add_events, read_plan

log = logging.getLogger("geocompose")


@dataclass
class PlannedSweep:
    """The cells of a sweep that an engine computes.

    cells: all of them, in the order of the command line. command: the program's arguments as they were typed.
    """

    cells: Sequence[PlannedCell]
    command: Sequence[str]
    course: Course = field(default_factory=Course)
    began: bool = False  # to hand out cells
    advice: str | None = None  # how to compute what is missing, where the same command does not

    def run(self) -> None:
        """Plan, try, estimate and compute; what became of the cells is read afterwards (`results`).

        Raises:
            UserError: the launcher can't be, or the plan can't be read or written.
            KeyboardInterrupt: the sweep was stopped.
        """
        engine = self._engine()
        self.advice = engine.advice if isinstance(engine, PlanOnlyEngine) else None
        wrong = [(reason_of(cell), cell.title) for cell in self.cells if cell.error is not None]
        for line in grouped("can't be", wrong):
            console().print(line)
        plans, refused = self._planned()
        missing = self._missing(plans)
        if refused and missing:
            raise refused[0]
        for error in refused:  # finished runs may lie on a disk that can't be written
            log.warning("%s", error)
        self._try(missing, plans)
        waiting = [cell for cell in missing if cell.run_id not in self.course.refused]
        if waiting:
            console().print(self._estimate(waiting))
        one_at_a_time = getattr(engine, "workers", 0) == 1
        progress = Progress(len(waiting), one_at_a_time=one_at_a_time)
        while waiting:
            self.began = True
            # What is computed one after the other is shown here as well: the tables of a model and its scores once.
            jobs = [self._job(cell, brief=one_at_a_time and place > 0) for place, cell in enumerate(waiting)]
            engine.compute(jobs, lambda event: self._told(event, progress))
            waiting = self._let_go(waiting)
            progress.more(len(waiting))

    def results(self) -> list[Cell]:
        """Return what became of each cell, from the records; see `Results.read`."""
        return Results(self.course).read(self.cells)

    @property
    def strict(self) -> bool:
        """Whether a refused cell fails the sweep."""
        actions = [cell.action for cell in self.cells if cell.action is not None]
        return any(bool(action.arguments.get("strict")) for action in actions)

    def write_tables(self) -> None:
        """Write the table of each study beside its plan; where the disk refuses, that is said."""
        for study in self.studies:
            try:
                log.info("The table of all cells: %s", write_cells_csv(study))
            except UserError as error:
                log.warning("%s", error)

    @cached_property
    def able(self) -> dict[str, PlannedCell]:
        """The cells that are runs, each run once, by its identity."""
        cells: dict[str, PlannedCell] = {}
        for cell in self.cells:
            if cell.error is None:
                cells.setdefault(cell.run_id, cell)
        return cells

    @property
    def studies(self) -> list[Path]:
        """The folders of the studies that the sweep adds to."""
        return list(dict.fromkeys(cell.study for cell in self.able.values()))

    def _of(self, study: Path) -> list[PlannedCell]:
        return [cell for cell in self.able.values() if cell.study == study]

    def _engine(self) -> Engine:
        nodes = [cell.experiment.config.get("launcher") for cell in self.cells if cell.experiment is not None]
        if any(node != nodes[0] for node in nodes):
            raise UserError("launcher must be the same for all cells of a sweep: give it and its keys one value each.")
        if not nodes or nodes[0] is None:
            return InProcessEngine()
        engine: Engine = instantiate(nodes[0])
        return engine

    def _planned(self) -> tuple[dict[Path, Plan], list[RefusedError]]:
        """Return the plans with the sweep's cells in them, and what the system refused of writing them."""
        plans, refused = {}, []
        for study in self.studies:
            try:
                plans[study] = add_cells(study, [cell.in_plan() for cell in self._of(study)])
            except RefusedError as error:
                refused.append(error)
                plans[study] = read_plan(study)
        return plans, refused

    def _missing(self, plans: dict[Path, Plan]) -> list[PlannedCell]:
        """Return the cells that have still to be computed, and remember how each stands now."""
        for identity, cell in self.able.items():
            with suppress(UserError):  # a damaged record: the results tell it
                self.course.before[identity] = cell.standing(plans[cell.study])
        return [cell for identity, cell in self.able.items() if self.course.before.get(identity) == "missing"]

    def _try(self, missing: Sequence[PlannedCell], plans: dict[Path, Plan]) -> None:
        """Try each composition, say which are impossible, and write into the plans what is news."""
        self.course.refused = refusals(missing)
        told = [
            (self.course.refused[cell.run_id], cell.title) for cell in missing if cell.run_id in self.course.refused
        ]
        for line in grouped("refused", told):
            console().print(line)
        for study, plan in plans.items():
            add_events(study, news([cell for cell in missing if cell.study == study], self.course.refused, plan))

    def _estimate(self, waiting: Sequence[PlannedCell]) -> str:
        experiment = waiting[0].experiment
        assert experiment is not None
        launcher = experiment.config.get("launcher") or {}
        workers = launcher.get("workers", launcher.get("max_parallel", 1) * launcher.get("cells_at_once", 1))
        finished = sum(self.course.before.get(cell.run_id) == "finished" for cell in self.cells)
        return estimate(
            [cell.folder for cell in waiting if cell.folder is not None], len(self.cells), finished, workers
        )

    def _job(self, cell: PlannedCell, *, brief: bool) -> Job:
        assert cell.experiment is not None
        assert cell.action is not None
        assert cell.folder is not None
        experiment = replace(cell.experiment, brief=brief)
        call = CellCall(experiment, cell.action, cell.folder.path, cell.log, tuple(self.command))
        return Job(cell.run_id, cell.title, call, cell.log)

    def _told(self, event: Started | Ended, progress: Progress) -> None:
        if isinstance(event, Ended):
            self.course.ended[event.job.run_id] = event
            record_end(self.able[event.job.run_id], event)
        progress.tell(event)

    def _let_go(self, computed: Sequence[PlannedCell]) -> list[PlannedCell]:
        """Return the cells that another process held when their turn came, and has let go of unfinished."""
        held = [cell for cell in computed if getattr(self.course.ended.get(cell.run_id), "how", None) == "held"]
        return [cell for cell in held if cell.folder is not None and cell.folder.status() in ("interrupted", "absent")]
