"""A search's journal: an Optuna study in a file beside the runs, which several processes share. Free of torch."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geocompose.runs.atomic import explained
from geocompose.search.journal_lock import JournalLock
from geocompose.search.trials import Better, Trial, TrialState

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

JOURNAL = "journal.log"


class Journal:
    """The trials of one search, in `folder`, whose name is the search's id.

    What several steps decide together is done in `locked`; single lines are whole in any case.
    """

    def __init__(self, folder: Path, better: Better, pruner: "optuna.pruners.BasePruner | None" = None) -> None:
        self.folder, self.better = folder, better
        self._pruner = pruner
        self._known: dict[int, Trial] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the search for the block: no other process decides anything meanwhile."""
        import filelock  # takes 30 ms

        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.folder / ".search.lock"):
            yield

    def trials(self) -> list[Trial]:
        """Return all trials, in their order."""
        return [self._trial(each) for each in self.study.get_trials(deepcopy=False)]

    def frozen(self) -> "list[optuna.trial.FrozenTrial]":
        """Return all trials as Optuna knows them."""
        found: list[optuna.trial.FrozenTrial] = self.study.get_trials(deepcopy=False)
        return found

    def begin(
        self,
        point: Mapping[str, Any],
        distributions: "Mapping[str, BaseDistribution]",
        told: Mapping[str, Any],
        state: TrialState = "running",
    ) -> int:
        """Add a trial of a point, within `locked`, and return its number. told: what is kept of it, such as run_id."""
        from optuna.trial import TrialState as States
        from optuna.trial import create_trial

        number = len(self.frozen())
        self.study.add_trial(
            create_trial(
                state=States.RUNNING if state == "running" else States.FAIL,
                params=dict(point),
                distributions=dict(distributions),
                user_attrs=dict(told),
            )
        )
        return number

    def note(self, number: int, name: str, value: object) -> None:
        """Keep something of a running trial."""
        self._asked(number).set_user_attr(name, value)

    def report(self, number: int, values: Mapping[int, float]) -> None:
        """Add the scores of epochs that are not known yet."""
        known = self.frozen()[number].intermediate_values
        trial = self._asked(number)
        for epochs in sorted(values.keys() - known.keys()):
            trial.report(values[epochs], epochs)

    def should_prune(self, number: int) -> bool:
        """Return whether the pruner would end a running trial, by the scores that are reported."""
        return bool(self._asked(number).should_prune())

    def complete(self, number: int, value: float) -> None:
        """End a trial with its score."""
        self.study.tell(number, value)

    def prune(self, number: int, reason: str) -> None:
        """End a trial that is not gone on with."""
        from optuna.trial import TrialState as States

        self.note(number, "reason", reason)
        self.study.tell(number, state=States.PRUNED)

    def fail(self, number: int, reason: str) -> None:
        """End a trial that failed."""
        from optuna.trial import TrialState as States

        self.note(number, "reason", reason)
        self.study.tell(number, state=States.FAIL)

    @cached_property
    def study(self) -> "optuna.Study":
        """Optuna's study, which is made where it is not there yet, within `locked`."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        path = self.folder / JOURNAL
        with explained(path):
            path.touch()
            storage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalLock(path)))  # type: ignore[arg-type]
        name = self.folder.name
        higher = self.better == "higher"
        # Points are drawn beside the journal (`proposals`); nothing of it draws any.
        sampler, pruner = optuna.samplers.RandomSampler(), self._pruner or optuna.pruners.NopPruner()
        try:
            return optuna.load_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner)
        except KeyError:
            return optuna.create_study(
                study_name=name, storage=storage, sampler=sampler, pruner=pruner,
                direction="maximize" if higher else "minimize",
            )  # fmt: skip

    def _asked(self, number: int) -> "optuna.Trial":
        import optuna

        return optuna.trial.Trial(self.study, self.frozen()[number]._trial_id)

    def _trial(self, frozen: "optuna.trial.FrozenTrial") -> Trial:
        """Return a trial as we know it; what has ended does not change any more."""
        if frozen.number in self._known:
            return self._known[frozen.number]
        told = frozen.user_attrs
        states: dict[str, TrialState] = {"RUNNING": "running", "COMPLETE": "completed", "PRUNED": "pruned"}
        state = "refused" if "refused" in told else states.get(frozen.state.name, "failed")
        value = frozen.value if state == "completed" else None
        found = Trial(
            frozen.number, state, frozen.params, str(told.get("run_id", "")), str(told.get("owner", "")), value,
            frozen.intermediate_values, str(told.get("refused") or told.get("reason", "")),
            str(told.get("composition", "")),
        )  # fmt: skip
        if state != "running":
            self._known[frozen.number] = found
        return found
