"""Points that a search proposes: in order, at random, or where good ones lie (Optuna's samplers). Free of torch."""

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from geocompose.search.journal import Journal
from geocompose.search.settings import GridSearch, HalvingSearch, Search, TpeSearch
from geocompose.search.space import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

# How many points in a row a sampler may propose that are known or impossible, before others are tried than it likes.
_PATIENCE = 50
_LAST_PATIENCE = 500
LISTED = 100_000  # points; of larger spaces, what is left is not listed


def proposals(settings: Search, space: Space, journal: Journal) -> Iterator[dict[str, Any]]:
    """Yield points to try next, the preferred ones first; who takes none of them has tried all that could be found.

    They follow from the search's seed and its trials so far alone, whichever process asks.
    """
    size = space.size
    in_order = isinstance(settings, GridSearch) or (isinstance(settings, HalvingSearch) and settings.trials is None)
    if in_order:
        yield from space.points()
        return
    trials = journal.frozen()
    # A seed for each trial: a process that begins anew draws what the one before would have drawn.
    seed = random.Random(f"{settings.seed} {len(trials)}").getrandbits(32)
    if isinstance(settings, TpeSearch):
        from optuna.samplers import TPESampler

        sampler = TPESampler(seed=seed, n_startup_trials=settings.startup_trials)
        yield from _drawn(sampler, space, journal.better, trials, _PATIENCE)
    from optuna.samplers import RandomSampler

    yield from _drawn(RandomSampler(seed), space, journal.better, [], _LAST_PATIENCE if size is None else _PATIENCE)
    if size is not None and size <= LISTED:
        left = list(space.points())
        random.Random(seed).shuffle(left)
        yield from left


def _drawn(
    sampler: "BaseSampler", space: Space, better: str, trials: Sequence["FrozenTrial"], number: int
) -> Iterator[dict[str, Any]]:
    """Yield what a sampler draws after some trials, beside the journal: what is not taken leaves no trace there."""
    import optuna

    study = optuna.create_study(direction="maximize" if better == "higher" else "minimize", sampler=sampler)
    study.add_trials([trial for trial in trials if trial.state.name != "FAIL"])
    distributions = space.distributions()
    for _ in range(number):
        yield space.point(study.ask(distributions).params)
