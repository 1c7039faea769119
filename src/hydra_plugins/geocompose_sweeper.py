"""Hydra's own sweep over all combinations, without the multirun.yaml that it leaves in the working directory."""

from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from geocompose.errors import UserError
from geocompose.launchers.in_turn import Jobs


@dataclass
class GeocomposeSweeperConf:
    """Hydra's configuration of this sweeper."""

    _target_: str = "hydra_plugins.geocompose_sweeper.GeocomposeSweeper"
    max_batch_size: int | None = None


ConfigStore.instance().store(
    group="hydra/sweeper", name="geocompose", node=GeocomposeSweeperConf, provider="geocompose"
)


class GeocomposeSweeper(BasicSweeper):
    """Composes every combination first, then launches them; our runs make their own folders."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember whom to tell of the cells."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.jobs = task_function

    def sweep(self, arguments: list[str]) -> Any:
        """Launch the jobs of `arguments` and return their results.

        Raises:
            UserError: there is no combination.
        """
        assert self.hydra_context is not None
        assert self.launcher is not None
        assert isinstance(self.jobs, Jobs)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = arguments if self.jobs.overrides is None else self.jobs.overrides
        overrides = [override for override in parser.parse_overrides(given) if not override.is_hydra_override()]
        batches = self.split_arguments(overrides, self.max_batch_size)
        cells = [list(cell) for batch in batches for cell in batch]
        if not cells:
            raise UserError(f"The sweep has no cells: nothing fits {' '.join(given)}. Check its glob patterns.")
        self.jobs.planned = cells
        for cell in cells:  # all of them, before anything runs
            self.jobs.composing = cell
            self.validate_batch_is_legal([cell])
        returns = []
        first = 0
        for batch in batches:
            results = self.launcher.launch(batch, initial_job_idx=first)
            for result in results:
                _ = result.return_value  # raises what the job raised
            first += len(batch)
            returns.append(results)
        return returns
