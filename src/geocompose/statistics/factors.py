"""How much of the variance of a study's scores each factor explains: backbone, decoder, method, rate, and the seed.

    found = explained(cells, scores)       # settings of each cell; its seeds' scores
    found["decoder"].share                 # 0.44 of the variance of a run's score, with its interval
    found["interactions"], found["seed"]   # what factors do together; what a new seed changes

The variance that is shared out is that of one run's score over the cells at hand: between cells, and between a cell's
seeds. A factor's share is what it adds to an additive model of the cells' means, averaged over all orders in which the
factors can be added (LMG, the Shapley value), so that factors of an incomplete study (refused cells) share what they
explain together. What is left between cells is their interactions. Chance among few seeds looks like an effect; its
expectation, a seed's variance / seeds per degree of freedom, is taken off.

Levels are those of the study: these backbones, not backbones at large. A number with more than `_MOST_LEVELS` values is
a curve instead: linear and squared in its logarithm (or itself, where it isn't positive throughout).

Intervals are the jackknife's: over clusters of test tiles, and over the seeds of each cell. A share near 0 or 1 has an
interval that is cut there.

Source: Lindeman, Merenda & Gold 1980, and Groemping 2007, Am Stat 61 (LMG); Hays 1963 (omega squared, the expectation
that is taken off); Efron & Stein 1981, Ann Stat 9 (the jackknife's variance).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from geocompose.errors import UserError
from geocompose.statistics.crossed import Part, half_width
from geocompose.statistics.intervals import Interval

INTERACTIONS, SEED = "interactions", "seed"
_MOST_LEVELS = 6
_MOST_FACTORS = 10  # 1,024 models
Level = str | float


@dataclass(frozen=True)
class Share:
    """How much of the variance is explained, 0 to 1, and how sure that is."""

    share: float
    interval: Interval


@dataclass(frozen=True)
class Scores:
    """The scores of one cell: of_seeds (S,); without, without each cluster of tiles (S, G), None where not known."""

    of_seeds: np.ndarray
    without: np.ndarray | None = None


def explained(
    cells: Sequence[Mapping[str, Level]], scores: Sequence[Scores], *, level: float = 0.95
) -> dict[str, Share]:
    """Return the share of each factor, of their interactions and of the seed, which sum to 1 but for rounding at 0.

    cells: what each one was set to, by the factor's name; all with the same factors. Those that don't vary are left
    out. scores: of each cell; some have two seeds or more.

    Raises:
        UserError: fewer than three cells, another number of scores, factors that differ or are too many, or a single
            seed of every cell.
    """
    factors = _varying(cells)
    if len(cells) < 3 or len(cells) != len(scores) or not factors:
        raise UserError(
            "What explains a study's scores takes 3 or more cells of which something differs, and the scores of each; "
            f"got {len(cells)} cells, {len(scores)} scores, and {len(factors)} factors."
        )
    if len(factors) > _MOST_FACTORS:
        raise UserError(f"At most {_MOST_FACTORS} factors can be told apart; got {', '.join(factors)}.")
    seeds = [one.of_seeds for one in scores]
    lost = sum(len(one) - 1 for one in seeds)
    if not lost:
        raise UserError(
            "What explains the scores takes two seeds or more of some compositions: with one seed of each, what chance "
            "does can't be told from what was chosen."
        )
    model = _Model.of([[cell[factor] for cell in cells] for factor in factors])
    found = model.shares(seeds)
    parts = [_seeds_part(model, seeds)]
    if all(one.without is not None for one in scores):
        parts.append(_clusters_part(model, [one.without for one in scores if one.without is not None]))
    told = {
        name: Share(float(found[place]), _interval(float(found[place]), parts, place, level))
        for place, name in enumerate([*factors, INTERACTIONS, SEED])
    }
    if told[SEED].interval.known:
        told[SEED] = Share(told[SEED].share, _of_seed(told[SEED], lost, level))
    return told


def _varying(cells: Sequence[Mapping[str, Level]]) -> list[str]:
    names = list(cells[0]) if cells else []
    odd = next((cell for cell in cells if set(cell) != set(names)), None)
    if odd is not None:
        raise UserError(f"All cells must have the same factors; got {sorted(names)} and {sorted(odd)}.")
    return [name for name in names if len({cell[name] for cell in cells}) > 1]


@dataclass(frozen=True)
class _Model:
    """The additive models of all sets of factors, each as an orthonormal basis of what it can make of the cells' means.

    bases: (directions, K), those of all sets, one after the other; the empty set, which is the mean, first, and that of
    all factors last. df: (sets), the directions of each. orders: (factors, sets), the weights with which what each set
    explains makes up a factor's part.
    """

    bases: np.ndarray
    df: np.ndarray
    orders: np.ndarray

    @property
    def parts(self) -> int:
        """How many shares there are: of the factors, of the interactions and of the seed."""
        return len(self.orders) + 2

    @classmethod
    def of(cls, values: Sequence[Sequence[Level]]) -> "_Model":
        factors = range(len(values))
        sets = [frozenset(places) for size in range(len(values) + 1) for places in combinations(factors, size)]
        columns, ones = [_columns(each) for each in values], np.ones((len(values[0]), 1))
        bases = [
            _basis(np.concatenate([ones, *(columns[place] for place in sorted(places))], axis=1)) for places in sets
        ]
        orders = np.zeros((len(values), len(sets)))
        number = {places: place for place, places in enumerate(sets)}
        for places in sets:
            for factor in set(factors) - places:
                # The share of all orders in which just these factors come before this one.
                weight = 1 / (len(values) * math.comb(len(values) - 1, len(places)))
                orders[factor, number[places | {factor}]] += weight
                orders[factor, number[places]] -= weight
        return cls(np.concatenate(bases, axis=1).T.copy(), np.array([basis.shape[1] for basis in bases]), orders)

    def shares(self, seeds: Sequence[np.ndarray]) -> np.ndarray:
        """Return the shares of the factors, the interactions and the seed: (parts), NaN where nothing varies."""
        means = np.array([one.mean() for one in seeds])
        lost = sum(len(one) - 1 for one in seeds)
        of_seed = sum(((one - one.mean()) ** 2).sum() for one in seeds) / lost if lost else 0.0
        # What chance among seeds adds to a sum of squares per degree of freedom.
        chance = of_seed * float(np.mean([1 / len(one) for one in seeds]))
        # The squared length of the means' part in each model.
        squares = np.add.reduceat((self.bases @ means) ** 2, np.cumsum(self.df) - self.df) - chance * self.df
        between = float(means @ means) - chance * len(means) - squares[-1]
        parts = np.maximum([*(self.orders @ squares), between, of_seed * (len(means) - 1)], 0.0)
        total = parts.sum()
        return parts / total if total > 0 else np.full(len(parts), np.nan)


def _basis(design: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the columns of a design (K, columns)."""
    basis, kept, _ = np.linalg.svd(design, full_matrices=False)
    found: np.ndarray = basis[:, kept > 1e-9 * kept[0]]
    return found


def _columns(values: Sequence[Level]) -> np.ndarray:
    """Return a factor's columns of the design: (K, levels - 1), or (K, 2) of a curve."""
    levels = list(dict.fromkeys(values))
    numbers = np.array([value if isinstance(value, int | float) else np.nan for value in values], dtype=np.float64)
    if len(levels) > _MOST_LEVELS and np.isfinite(numbers).all():
        along = np.log(numbers) if (numbers > 0).all() else numbers
        along = (along - along.mean()) / (along.std() or 1.0)
        return np.stack([along, along**2], axis=1)
    return np.array([[float(value == level) for level in levels[1:]] for value in values])


def _seeds_part(model: _Model, seeds: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """Return the variance of the shares by which seeds were drawn, and its degrees of freedom."""
    variance, df = np.zeros(model.parts), 0
    for place, one in enumerate(seeds):
        if len(one) < 2:
            continue
        left = [model.shares([*seeds[:place], np.delete(one, seed), *seeds[place + 1 :]]) for seed in range(len(one))]
        variance += (len(one) - 1) / len(one) * ((left - np.mean(left, axis=0)) ** 2).sum(axis=0)
        df += len(one) - 1
    return variance, float(df)


def _clusters_part(model: _Model, without: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """Return the variance of the shares by which clusters were drawn, and its degrees of freedom."""
    number = without[0].shape[1]
    left = np.array([model.shares([one[:, cluster] for one in without]) for cluster in range(number)])
    return (number - 1) / number * ((left - left.mean(axis=0)) ** 2).sum(axis=0), float(number - 1)


def _interval(share: float, parts: Sequence[tuple[np.ndarray, float]], place: int, level: float) -> Interval:
    told = [Part(variance[place], df) for variance, df in parts if df > 0]
    if not told or not math.isfinite(share) or any(np.isnan(part.variance) for part in told):
        return Interval(None, None, "one seed of each cell, and no other places: nothing tells how sure this is")
    half = float(half_width(told, level))
    if not half > 0:
        return Interval(None, None, "no more than chance among the seeds")
    return Interval(max(0.0, share - half), min(1.0, share + half))


def _of_seed(found: Share, lost: int, level: float) -> Interval:
    """Return the interval of the seed's share: as wide as that of a variance with `lost` degrees of freedom, or wider.

    The jackknife's is too narrow for a variance of few seeds, whose own chance is skewed (chi-squared).
    """
    from scipy.special import chdtri  # half a second that only statistics need

    assert found.interval.low is not None
    assert found.interval.high is not None
    outside = (1 - level) / 2
    odds = found.share / (1 - found.share) if found.share < 1 else math.inf
    low, high = (lost * odds / float(chdtri(lost, at)) for at in (outside, 1 - outside))
    low, high = (value / (1 + value) if math.isfinite(value) else 1.0 for value in (low, high))
    return Interval(min(low, found.interval.low), max(high, found.interval.high))
