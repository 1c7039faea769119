"""A composed configuration becomes an experiment, checked and plain, and the action asked for. Free of torch."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from geocompose.catalog.checks import check_source_names
from geocompose.catalog.learning_rates import Rate
from geocompose.configuration.ablation import KEY, check_no_ablation
from geocompose.configuration.checking import as_written, checked
from geocompose.configuration.diagnosis import groups
from geocompose.configuration.overrides import repeated
from geocompose.configuration.working_folder import search_working_folder, targets_in
from geocompose.errors import UserError
from geocompose.runs.atomic import refusals_told
from geocompose.runs.trust import Trust
from geocompose.runs.watching import Watch


@dataclass(frozen=True)
class Experiment:
    """What an action is given.

    config: plain, resolved and typed. choices: the option chosen in each group. overrides: the command line's.
    conf_dir: where the configuration lies. config_dirs: all folders of config groups that were composed, it and those
        that were typed (--config-dir). in_sweep: whether other configurations run before and after this one.
    brief: whether another cell's tables stand where its own would be shown, so that a line each is enough.
    default_rate: where optimizer.lr comes from, if it was not given. watch: who follows the run, and may stop it.
    """

    config: dict[str, Any]
    choices: dict[str, str | None]
    overrides: list[str]
    conf_dir: Path
    config_dirs: tuple[Path, ...] = ()
    in_sweep: bool = False
    brief: bool = False
    default_rate: Rate | None = None
    watch: Watch | None = None

    @property
    def own_dirs(self) -> list[Path]:
        """The folders of config groups that were typed (--config-dir)."""
        return [folder for folder in self.config_dirs if folder != self.conf_dir]

    @property
    def told(self) -> list[str]:
        """What the terminal was told of the command line before the action began, a line each."""
        return told(self.overrides)

    def trust(self, typed: Sequence[str] | None) -> Trust:
        """Return whom to believe of what files say: the composed folders, and the targets that the user has typed."""
        return Trust((self.conf_dir, *self.config_dirs), tuple(typed or ()))


@dataclass(frozen=True)
class Action:
    """What is to be done with an experiment. target: the function's full name. arguments: beside the experiment."""

    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def function(self) -> Callable[..., object]:
        """The function."""
        module, _, name = self.target.rpartition(".")
        function: Callable[..., object] = getattr(importlib.import_module(module), name)
        return function


def told(overrides: Sequence[str]) -> list[str]:
    """Return a line for each key that is given more than once."""
    return [
        f"{key} is given more than once; the last one counts: {key}={value}"
        for key, value in repeated(overrides).items()
    ]


def understood(
    composed: DictConfig,
    conf_dir: Path,
    known: Sequence[str] | None = None,
    hydra: DictConfig | None = None,
    written: Mapping[Any, Any] | None = None,
) -> tuple[Experiment, Action]:
    """Return what a composed configuration says, checked.

    known: the names of the config groups, where the caller has listed them. hydra: Hydra's own part of the
    configuration; None takes what `HydraConfig` holds. written: what `as_written` returns, where the caller has it.

    Raises:
        UserError: a required value is missing, a key is not an argument of its target, or a value is not of its type;
            or it asks for an ablation, which no cell of one does.
    """
    written = as_written(composed) if written is None else written
    search_working_folder(targets_in(written))
    own: Any = HydraConfig.get() if hydra is None else hydra
    config, default_rate = checked(composed, written, groups(conf_dir) if known is None else known)
    check_no_ablation(config.get(KEY))
    arguments = dict(config["action"])
    action = Action(arguments.pop("_target_"), arguments)
    experiment = Experiment(
        config,
        dict(own.runtime.choices),
        list(own.overrides.task),
        conf_dir,
        tuple(Path(source.path) for source in own.runtime.config_sources if source.schema == "file"),
        in_sweep=own.mode is RunMode.MULTIRUN,
        default_rate=default_rate,
    )
    return experiment, action


def perform(experiment: Experiment, action: Action) -> object:
    """Call an action on an experiment, and return what it returns (an Outcome, of a run).

    Raises:
        UserError: see the action; it has a note on the option of the part that it is about.
    """
    function = action.function
    search_working_folder(targets_in(experiment.config))  # in whichever process this is
    try:
        check_source_names(experiment.config)
        with refusals_told():
            return function(experiment, **action.arguments)
    except UserError as error:
        noted(error, experiment)
        raise


def noted(error: UserError, experiment: Experiment) -> None:
    """Add to an error about a part by which option the part was chosen."""
    if error.part in experiment.choices:
        note = f"at {error.part}={experiment.choices[error.part]}"
        if note not in getattr(error, "__notes__", []):
            error.add_note(note)
