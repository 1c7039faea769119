"""Hydra's own sweep over all combinations, each composed once; nothing is left in the working directory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import run_job
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from geocompose.configuration.ablation import ablation
from geocompose.configuration.composer import Composer
from geocompose.errors import UserError
from geocompose.launchers.in_turn import Jobs
from geocompose.launchers.planning import PlannedCell
from geocompose.search.settings import is_search
from geocompose.search.sweep import SearchSweep


@dataclass
class GeocomposeSweeperConf:
    """Hydra's configuration of this sweeper."""

    _target_: str = "hydra_plugins.geocompose_sweeper.GeocomposeSweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="geocompose", node=GeocomposeSweeperConf, provider="geocompose"
)


class GeocomposeSweeper(BasicSweeper):
    """Composes every combination, or an ablation's; then an engine computes runs, and anything else is done in turn."""

    def __init__(self) -> None:
        super().__init__(max_batch_size=None)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember whom to tell of the cells."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.jobs = task_function
        self.composer = Composer(hydra_context.config_loader, config)

    def sweep(self, arguments: list[str]) -> Any:
        """Do what the configurations of `arguments` say; all are composed before anything is done.

        Raises:
            UserError: there is no combination, or an ablation of nothing.
        """
        jobs = self.jobs
        assert isinstance(jobs, Jobs)
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = arguments if jobs.overrides is None else jobs.overrides
        overrides = [override for override in parser.parse_overrides(given) if not override.is_hydra_override()]
        assert self.config is not None
        if is_search(OmegaConf.select(self.config, "search._target_")):
            if ablation(overrides) is not None:
                raise UserError("ablate and search both say which cells there are; give one of them.")
            SearchSweep(jobs, self._planned_cell).run(overrides)
            return []
        _refuse_searched(overrides)
        ablated = ablation(overrides)
        if ablated is None:
            lines = [overrides]
        else:
            jobs.base = ablated.base
            lines = [parser.parse_overrides(line) for line in ablated.lines]
        jobs.planned = [list(cell) for line in lines for batch in self.split_arguments(line, None) for cell in batch]
        if not jobs.planned:
            raise UserError(f"The sweep has no cells: nothing fits {' '.join(given)}. Check its glob patterns.")
        planned: list[PlannedCell] = []
        in_turn = False
        for number, cell in enumerate(jobs.planned):
            jobs.composing = cell
            config = self._composed(number, cell)
            in_turn = in_turn or not jobs.is_run(config)
            if not in_turn:
                planned.append(jobs.planned_cell(config, cell))
        if in_turn:
            self._do_in_turn(jobs.planned)
        else:
            jobs.compute(planned)
        return []

    def _planned_cell(self, overrides: list[str]) -> PlannedCell:
        jobs = self.jobs
        assert isinstance(jobs, Jobs)
        config = self._composed(0, overrides)
        if not jobs.is_run(config):
            raise UserError(f"A search is for runs that are fitted; {config.action._target_} is not searched.")
        return jobs.planned_cell(config, overrides)

    def _composed(self, number: int, cell: list[str]) -> DictConfig:
        config = self.composer.compose(cell)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config

    def _do_in_turn(self, cells: Sequence[list[str]]) -> None:
        assert self.hydra_context is not None
        for number, cell in enumerate(cells):
            done = run_job(
                task_function=self.jobs,
                config=self._composed(number, cell),
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
                hydra_context=self.hydra_context,
            )
            _ = done.return_value  # raises what the job raised


def _refuse_searched(overrides: Sequence[Override]) -> None:
    """Refuse what a plain sweep can't compute: several searches, or an interval."""
    for override in overrides:
        if override.is_sweep_override() and override.key_or_group.partition(".")[0] == "search":
            raise UserError(f"{override.input_line}: one command has one search. Give search and its keys one value.")
        if override.is_interval_sweep():
            raise UserError(
                f"{override.input_line} has no end of values to compute one after another. To have some of them "
                "chosen, add a search, such as search=tpe search.trials=32."
            )
