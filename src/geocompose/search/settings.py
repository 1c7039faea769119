"""The options of the group `search`: how points of the space are chosen, and how many. Free of torch and Optuna."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from geocompose.errors import UserError, at_least

Pruner = Literal["none", "median", "hyperband"]


@dataclass(frozen=True)
class NoSearch:
    """A sweep computes all combinations."""


NEEDS_SWEEP = (
    "A search computes many runs: add -m, and something to vary, such as decoder=upernet,fcn; or leave it out."
)
NO_SEARCH = f"{NoSearch.__module__}.{NoSearch.__qualname__}"


def is_search(target: object) -> bool:
    """Return whether the target of a configuration's group `search` searches."""
    return isinstance(target, str) and target != NO_SEARCH


@dataclass(frozen=True, kw_only=True)
class Search:
    """What all searches have.

    trials: how many points are tried, by all commands and workers together; None, where the space is finite, all of it.
    seed: of what is drawn. retries: how often a failed trial is tried again. seeds: with how many seeds, from `seed`
    on, the chosen composition is computed and tested in the end; 0 leaves it at the search. batch: how many trials at
    a time are handed to a launcher that takes whole batches (slurm, ray).

    Raises:
        UserError: a number is out of range.
    """

    trials: int | None
    seed: int = 0
    retries: int = 1
    seeds: int = 1
    batch: int = 8
    sampler: ClassVar[str]

    def __post_init__(self) -> None:
        if self.trials is not None:
            at_least("search.trials", self.trials, 1)
        for name, least in (("seed", 0), ("retries", 0), ("seeds", 0), ("batch", 1)):
            at_least(f"search.{name}", getattr(self, name), least)

    @property
    def kind(self) -> dict[str, object]:
        """What makes two searches of one space the same: how points are chosen, not how many."""
        return {"sampler": self.sampler, "seed": self.seed}


@dataclass(frozen=True, kw_only=True)
class PrunedSearch(Search):
    """A search whose trials can be ended early, by the scores of their epochs beside those of other trials.

    pruner: none; median, of the other trials after as many epochs; hyperband. min_epochs: no trial is ended before.
    factor: of hyperband, one of so many trials goes on.
    Source: Optuna's MedianPruner and HyperbandPruner (arXiv 1603.06560).

    Raises:
        UserError: a number is out of range.
    """

    pruner: Pruner = "none"
    min_epochs: int = 1
    factor: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("search.min_epochs", self.min_epochs, 1)
        at_least("search.factor", self.factor, 2)

    @property
    def kind(self) -> dict[str, object]:
        """See `Search.kind`."""
        pruner = {"pruner": self.pruner, "min_epochs": self.min_epochs, "factor": self.factor}
        return super().kind | ({} if self.pruner == "none" else pruner)


@dataclass(frozen=True, kw_only=True)
class TpeSearch(PrunedSearch):
    """A Tree-structured Parzen Estimator: points are drawn where the good ones of before lie close together.

    startup_trials: how many are drawn at random first.
    Source: Optuna's TPESampler (arXiv 2304.11127).

    Raises:
        UserError: a number is out of range.
    """

    startup_trials: int = 10
    sampler: ClassVar[str] = "tpe"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("search.startup_trials", self.startup_trials, 1)

    @property
    def kind(self) -> dict[str, object]:
        """See `Search.kind`."""
        return super().kind | {"startup_trials": self.startup_trials}


@dataclass(frozen=True, kw_only=True)
class RandomSearch(PrunedSearch):
    """Points are drawn at random, those of logarithmic ranges by their logarithms."""

    sampler: ClassVar[str] = "random"


@dataclass(frozen=True, kw_only=True)
class GridSearch(PrunedSearch):
    """All points in order; with `trials`, the first ones."""

    trials: int | None = None
    sampler: ClassVar[str] = "grid"

    @property
    def kind(self) -> dict[str, object]:
        """See `Search.kind`; nothing is drawn."""
        return {name: value for name, value in super().kind.items() if name != "seed"}


@dataclass(frozen=True, kw_only=True)
class HalvingSearch(Search):
    """Successive halving: all points are trained for a few epochs, the best of them longer, and so on.

    trials: how many points begin, drawn at random; None: all of a finite space. min_epochs: after how many the first
    are left behind. factor: one of so many goes on, and trains until it has so many times the epochs.
    Source: arXiv 1502.07943.

    Raises:
        UserError: a number is out of range.
    """

    trials: int | None = None
    min_epochs: int = 1
    factor: int = 3
    sampler: ClassVar[str] = "halving"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("search.min_epochs", self.min_epochs, 1)
        at_least("search.factor", self.factor, 2)

    @property
    def kind(self) -> dict[str, object]:
        """See `Search.kind`; how many points begin decides who goes on, so that it counts."""
        return super().kind | {"min_epochs": self.min_epochs, "factor": self.factor, "trials": self.trials}


def check_interval_search(settings: Search, *, finite: bool) -> None:
    """Refuse a search of all points where there is no end of them.

    Raises:
        UserError: says which number to write.
    """
    if finite:
        return
    if isinstance(settings, GridSearch):
        raise UserError(
            "search=grid needs values that can be listed, and interval(...) has no end of them: write range(...) or "
            "the values, or search=random."
        )
    if settings.trials is None:
        raise UserError("search.trials is required where the space has an interval(...): write search.trials=NUMBER.")
