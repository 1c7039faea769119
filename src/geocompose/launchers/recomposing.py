"""Cells composed again from a study's plan, which is data: it names only parts that conf/ has, or that were typed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import open_dict
from omegaconf.errors import OmegaConfBaseException

from geocompose.errors import UserError, first_line
from geocompose.experiment import Action, Experiment, understood
from geocompose.launchers.planning import PlannedCell, Planner
from geocompose.launchers.runs import runs_of
from geocompose.runs.trust import Trust
from geocompose.studies.plan import PLAN_NAME, PlanCell


@dataclass(frozen=True)
class Recomposition:
    """How the cells of a plan are composed again.

    study: its folder. conf_dir: where the configuration lies. config_dirs: folders that were typed beside it. own: what
    of the configuration is the caller's, such as the launcher, and not the plan's. trust: whom to believe of what the
    plan says.
    """

    study: Path
    conf_dir: Path
    config_dirs: Sequence[Path]
    own: Mapping[str, Any]
    trust: Trust

    def cells(self, planned: Sequence[PlanCell]) -> list[PlannedCell]:
        """Return the cells of a plan; what is wrong with one is its error."""
        planner = Planner()
        return [self._cell(planner, cell) for cell in planned]

    def _cell(self, planner: Planner, planned: PlanCell) -> PlannedCell:
        cell = planner.cell(lambda: self._understood(planned), planned.overrides)
        if cell.error is None and cell.run_id != planned.id:
            cell.error = UserError(
                f"Cell {planned.id} of {self._file} would be the run {cell.run_id} today: its data, its weights or "
                "conf/ have changed since it was planned. Run the sweep's command again, which plans it anew."
            )
        return cell

    @property
    def _file(self) -> Path:
        return self.study / PLAN_NAME

    def _understood(self, planned: PlanCell) -> tuple[Experiment, Action]:
        self._check(planned)
        try:
            composed = compose("config", overrides=list(planned.overrides), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(f"Cell {planned.id} of {self._file} can't be composed: {first_line(error)}.") from error
        HydraConfig.instance().set_config(composed)
        with open_dict(composed):
            del composed["hydra"]
        experiment, action = understood(composed, self.conf_dir)
        self.trust.check(experiment.config, self._file)
        if runs_of(action.function) is None:
            raise UserError(f"Cell {planned.id} of {self._file} is of {action.target}, which computes no run.")
        return replace(experiment, config={**experiment.config, **self.own}, in_sweep=True), action

    def _check(self, planned: PlanCell) -> None:
        """Refuse overrides that would do more than choose options and set values, before they are composed."""
        missing = [folder for folder in planned.config_dirs if Path(folder) not in self.config_dirs]
        if missing:
            raise UserError(
                f"Cell {planned.id} of {self._file} was composed with options of {missing[0]}. If you trust that "
                f"folder, write --config-dir {missing[0]}."
            )
        for text in planned.overrides:
            if "${" in text:
                raise UserError(
                    f"{self._file}: {text:.200} holds an interpolation, which would be resolved on this machine. Run "
                    "the sweep's own command instead, or write the value in its place there."
                )
        try:
            parsed = OverridesParser.create().parse_overrides(list(planned.overrides))
        except HydraException as error:
            raise UserError(f"Cell {planned.id} of {self._file} can't be read: {first_line(error)}.") from error
        for override in parsed:
            if override.is_hydra_override() or override.is_sweep_override():
                raise UserError(
                    f"{self._file}: {override.input_line!s:.200} is not a setting of one cell. The plan is damaged; "
                    "move it away and run the sweep's command again."
                )
