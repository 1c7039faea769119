"""What a sweep needs to know of an action that computes runs: which run a configuration is, whether its parts fit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from geocompose.experiment import Experiment
from geocompose.runs import RunFolder
from geocompose.studies.cells import Outcome

_ATTRIBUTE = "computes_runs"
_Action = TypeVar("_Action", bound=Callable[..., Outcome | None])


class Folders(Protocol):
    """Tells which runs experiments are."""

    def folder(self, experiment: Experiment) -> RunFolder:
        """Return the folder of an experiment's run, whose name ends in its identity."""
        ...


@dataclass(frozen=True)
class Judged:
    """How a search judges runs of a configuration, by the metric that they are selected by on the validation split.

    metric: its name, such as `val/mIoU`. better: which values are. num_epochs: how many a run has. every: after how
    many of them it is validated. frozen: in how many the backbone does not learn before it does, so that nothing can be
    told of the run yet. depends_on: settings, by their keys, that say what the metric measures.
    """

    metric: str
    better: Literal["higher", "lower"]
    num_epochs: int
    every: int = 1
    frozen: int = 0
    depends_on: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Runs:
    """How the runs of an action are told apart and tried out.

    folders: takes the folder of the configuration, and returns what tells which run an experiment is. It does not load
    torch. try_out: tries the composition of a configuration without weights, memory or files; raises a UserError where
    it is impossible. judged: how a search judges them, or a UserError where it can't; None where there is no search.
    """

    folders: Callable[[Path], Folders]
    try_out: Callable[[Mapping[str, Any]], None]
    judged: Callable[[Mapping[str, Any]], Judged] | None = None


def computes_runs(
    folders: Callable[[Path], Folders],
    try_out: Callable[[Mapping[str, Any]], None],
    judged: Callable[[Mapping[str, Any]], Judged] | None = None,
) -> Callable[[_Action], _Action]:
    """Return a decorator for an action whose sweeps are planned, and computed by an engine. See `Runs`."""

    def mark(action: _Action) -> _Action:
        setattr(action, _ATTRIBUTE, Runs(folders, try_out, judged))
        return action

    return mark


def runs_of(action: Callable[..., object]) -> Runs | None:
    """Return how the runs of an action are told apart; None where it computes none."""
    found: Runs | None = getattr(action, _ATTRIBUTE, None)
    return found
