"""Hydra's own sweep over all combinations, without the multirun.yaml that it leaves in the working directory."""

from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser


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

    def sweep(self, arguments: list[str]) -> Any:
        """Launch the jobs of `arguments` and return their results."""
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        self.overrides = self.split_arguments(parser.parse_overrides(arguments), self.max_batch_size)
        returns = []
        first = 0
        while not self.is_done():
            batch = self.get_job_batch()
            self.validate_batch_is_legal(batch)
            results = self.launcher.launch(batch, initial_job_idx=first)
            for result in results:
                _ = result.return_value  # raises what the job raised
            first += len(batch)
            returns.append(results)
        return returns
