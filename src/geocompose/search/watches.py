"""Who follows a trial's run in the run's own process: the pruner, or the next rung of a halving. Free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geocompose.runs.watching import Stop
from geocompose.search.journal import Journal
from geocompose.search.settings import PrunedSearch
from geocompose.search.trials import Better

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


@dataclass(frozen=True)
class Pruning:
    """Ends a trial by the scores of other trials, which the search's journal has.

    folder: of the search. num_epochs: how many a run has.
    """

    folder: Path
    number: int
    better: Better
    settings: PrunedSearch
    num_epochs: int

    def look(self, epochs: int, values: Mapping[int, float]) -> Stop | None:
        """Return why the run is to be stopped now; see `Watch`."""
        journal = Journal(self.folder, self.better, self._pruner())
        journal.report(self.number, values)
        if epochs not in values or not journal.should_prune(self.number):
            return None
        reason = (
            f"pruned by search {self.folder.name} ({self.settings.pruner}) after epoch {epochs} of {self.num_epochs}"
        )
        return Stop(self.folder.name, "pruned", epochs, reason)

    def _pruner(self) -> "BasePruner":
        from optuna.pruners import HyperbandPruner, MedianPruner

        least = self.settings.min_epochs
        if self.settings.pruner == "hyperband":
            return HyperbandPruner(least, self.num_epochs, self.settings.factor)
        return MedianPruner(n_warmup_steps=least)


@dataclass(frozen=True)
class Rung:
    """Pauses a run after so many epochs. search: the id of the halving."""

    search: str
    epochs: int

    def look(self, epochs: int, values: Mapping[int, float]) -> Stop | None:
        """Return why the run is to be stopped now; see `Watch`."""
        if epochs < self.epochs:
            return None
        return Stop(self.search, "paused", epochs, f"paused by search {self.search} after epoch {epochs}")
