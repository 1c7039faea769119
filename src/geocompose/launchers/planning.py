"""From a sweep's composed configurations to its plan: each becomes a cell with its run, or with why it can't be one."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geocompose.configuration.overrides import says_how
from geocompose.errors import UserError, in_one_line
from geocompose.experiment import Action, Experiment, noted
from geocompose.launchers.runs import Folders, Runs, runs_of
from geocompose.runs import RunFolder
from geocompose.studies.plan import Plan, PlanCell
from geocompose.studies.standing import Standing, standing
from geocompose.studies.states import log_of

# Of these no composition depends; a group that is not among them counts.
_IDLE = ("action", "debug", "experiment", "launcher", "logger", "optimizer", "rerun", "retry", "scheduler", "seed")
_IDLE_TOO = ("search", "study", "trainer")


@dataclass
class PlannedCell:
    """One cell of a sweep. title: what tells it from the others.

    experiment, action, folder: what is to be computed, and where; None where its configuration can't be. error: why.
    """

    overrides: list[str]
    title: str = ""
    experiment: Experiment | None = None
    action: Action | None = None
    folder: RunFolder | None = None
    error: Exception | None = None

    @property
    def run_id(self) -> str:
        """The identity of its run; "" where it has none."""
        return "" if self.folder is None else self.folder.path.name.rpartition("-")[2]

    @property
    def study(self) -> Path:
        """The folder of its study."""
        assert self.folder is not None
        return self.folder.path.parent

    @property
    def log(self) -> Path:
        """The file of all that its process writes."""
        return log_of(self.study, self.run_id)

    def standing(self, plan: Plan) -> Standing:
        """Return what has still to be done for its run. plan: of its study.

        Raises:
            UserError: the record is damaged or foreign.
        """
        assert self.folder is not None
        assert self.experiment is not None
        assert self.action is not None
        config = self.experiment.config
        found = standing(self.folder, config, test=bool(self.action.arguments.get("test", True)))
        # A cell whose process ended before there was a record has its failure in the plan.
        again = config["rerun"] or config["retry"] == "failed" or self.folder.record.exists()
        return "failed" if found == "missing" and not again and plan.failed(self.run_id) is not None else found

    def in_plan(self) -> PlanCell:
        """Return its line of the plan."""
        assert self.experiment is not None
        choices = {group: name for group, name in self.experiment.choices.items() if not group.startswith("hydra/")}
        overrides = [text for text in self.overrides if not says_how(text)]
        return PlanCell(self.run_id, tuple(overrides), choices, tuple(map(str, self.experiment.own_dirs)))

    def composition(self) -> str:
        """Return a text that is the same for all cells with the same parts and data."""
        assert self.experiment is not None
        return composition_of(self.experiment.config)


def composition_of(config: Mapping[str, Any]) -> str:
    """Return a text that is the same for all configurations with the same parts and data."""
    counts = {group: node for group, node in config.items() if group not in (*_IDLE, *_IDLE_TOO)}
    return json.dumps(counts, sort_keys=True, default=str)


@dataclass
class Planner:
    """Makes cells out of experiments; what belongs to their action is made once."""

    folders: dict[str, Folders] = field(default_factory=dict)

    def cell(self, understand: Callable[[], tuple[Experiment, Action]], overrides: Sequence[str]) -> PlannedCell:
        """Return the cell of a configuration. understand: returns what it says, or raises why it can't be."""
        cell = PlannedCell(list(overrides))
        try:
            cell.experiment, cell.action = understand()
            runs = runs_of(cell.action.function)
            if runs is not None:
                cell.folder = self._folder(runs, cell.experiment, cell.action)
        except Exception as error:  # noqa: BLE001 - one cell's mistake must not hide the others; it is told
            cell.error = error
        return cell

    def _folder(self, runs: Runs, experiment: Experiment, action: Action) -> RunFolder:
        if action.target not in self.folders:
            self.folders[action.target] = runs.folders(experiment.conf_dir)
        try:
            return self.folders[action.target].folder(experiment)
        except UserError as error:
            noted(error, experiment)
            raise


def reason_of(cell: PlannedCell) -> str:
    """Return in a line why a cell's configuration can't be."""
    assert cell.error is not None
    return in_one_line(cell.error)
