"""The arithmetic of intervals: seeds crossed with clusters of test tiles. NumPy alone, for many studies at once.

Every seed's model is scored on the same tiles, and tiles of one cluster are alike. The mean score of S seeds on G
clusters varies by which seeds were drawn and by which clusters were (a two-way random-effects model without nesting):

    Var(mean) = seeds / S + clusters / G + seeds x clusters / (S G)

A score is a ratio of pooled counts, no mean over clusters, so each part comes from leaving out one cluster at a time
(the delete-one-cluster jackknife), with weights for clusters of different sizes:

    d[s, g] = score of seed s without cluster g  -  score of seed s,   w[g] = weight of cluster g, sum 1
    A = sample variance over s of the score / S                        E[A] = seeds / S + interaction
    B = sum_g (1 - w[g]) mean_s(d[s, g])^2                             E[B] = clusters / G + interaction
    I = sum_sg (1 - w[g]) (d[s, g] - mean_s d[s, g])^2 / (S (S - 1))   E[I] = interaction, seeds x clusters / (S G)

    Var = max(A - I, 0) + B          A + B with fewer than five seeds
    half width = t sqrt(Var)

With equal weights, B is the jackknife's (G - 1)/G sum d^2; with unequal ones it is CR2's, which is without bias where
all clusters vary alike. t is Student's at Satterthwaite's degrees of freedom: S - 1 - 1.2/(S - 1) of the seeds' part
and `effective_df` of the clusters'. These numbers, and which terms are taken at few seeds, were chosen by the
simulation of docs/intervals.md.

A share is not symmetric about its truth: where few clusters have a rare class, its IoU and the IoU's deviation rise and
fall together. So the half width of a share p is taken on the logit scale, where it is half / (p (1 - p)), and of an
error on the logarithm's. A mean over classes (mIoU) has margins of its own: those of its classes, put together with
their correlations (MOVER). A difference of two cells is symmetric.

Source: Dorfman, Berbaum & Metz 1992, Invest Radiol 27 (jackknife of readers crossed with cases); Hillis 2007, Stat Med
26 (its degrees of freedom); Owen 2007, Ann Appl Stat 1 (the pigeonhole bootstrap, whose variance is A + B); Cameron,
Gelbach & Miller 2011, J Bus Econ Stat 29 (A + B - I); Bell & McCaffrey 2002, Surv Methodol 28 (CR2 and its degrees of
freedom); Carter, Schnepel & Steigerwald 2017, Rev Econ Stat 99 (effective number of clusters); Zou & Donner 2008, Stat
Med 27 (MOVER).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

# Scores from pooled counts: (..., cells) -> (..., C), of which the score is the mean, such as each class's IoU of mIoU.
ScoreOf = Callable[[np.ndarray], np.ndarray]
Chance = Literal["both", "seeds", "clusters"]
Scale = Literal["share", "error", "plain"]
# Standard errors on either side, from a level of confidence and degrees of freedom.
QuantileOf = Callable[[float, np.ndarray | float], np.ndarray]

# How a cluster's part of a score is taken to vary with its weight w: Var ~ w^1 where its tiles are independent, w^2
# where they are copies of each other. Between the two, the simulation covers at every correlation from 0 to 0.7.
GROWTH = 1.35
# With fewer seeds, A - I is too often too small: the variance is then A + B, more than needed rather than less.
SEEDS_FOR_DIFFERENCE = 5
# Of the seeds' degrees of freedom, so many over S - 1 are taken away: Satterthwaite's rule takes more than there are
# where few seeds happen to agree.
_LOST = 1.2
# From so many clusters and degrees of freedom on, the simulation covers.
LEAST_CLUSTERS, LEAST_DF = 5, 1.5
_STEP = 1e-4  # of a count, for derivatives
_NUMBERS_AT_ONCE = 2**20  # 8 MB of pooled counts


@dataclass(frozen=True)
class Crossed:
    """Scores of one cell, or of many draws of one, and what leaving out clusters does to them.

    scores: (..., S, C), of each seed. left_out: (..., S, G, C), of each seed without each cluster. pull: (..., G), how
    much of the score rests on each cluster; see `pull`. seeds_vary: false where training has no chance in it: its one
    "seed" stands for all.
    """

    scores: np.ndarray
    left_out: np.ndarray
    pull: np.ndarray
    seeds_vary: bool = True

    @cached_property  # asked for once per pair of cells
    def of_seeds(self) -> np.ndarray:
        """The score of each seed: (..., S)."""
        return self.scores.mean(axis=-1)

    @property
    def mean(self) -> np.ndarray:
        """The mean score: (...)."""
        return self.of_seeds.mean(axis=-1)

    @cached_property
    def shifts(self) -> np.ndarray:
        """What leaving out each cluster does to each seed's score: (..., S, G)."""
        return self.left_out.mean(axis=-1) - self.of_seeds[..., None]


def crossed(counts: np.ndarray, score_of: ScoreOf, *, seeds_vary: bool = True) -> Crossed:
    """Return the scores of counts (..., S, G, cells): of all clusters together, and without each of them."""
    pooled = counts.sum(axis=-2)
    left_out = score_of(pooled[..., None, :] - counts)
    return Crossed(score_of(pooled), left_out, pull(counts.mean(axis=-3), score_of), seeds_vary)


def pull(counts: np.ndarray, score_of: ScoreOf) -> np.ndarray:
    """Return how much of a score rests on each cluster of counts (..., G, cells): (..., G), 0 or more.

    Each cell of the pooled counts moves the score by its derivative, and a cluster has its part of the cell:
    sqrt(sum over cells of (d score / d cell x the cluster's count)^2). For a rare class this is large in the few
    clusters that have it, however many pixels the others hold.
    """
    pooled = counts.sum(axis=-2)
    squares = np.zeros(counts.shape[:-1])
    filled = np.flatnonzero(pooled.reshape(-1, pooled.shape[-1]).any(axis=0))
    at_once = max(1, _NUMBERS_AT_ONCE // pooled.size)
    for cells in np.split(filled, range(at_once, len(filled), at_once)):
        # One copy of the pooled counts for each cell, in which that cell alone is moved: (cells moved, ..., cells).
        step = np.zeros((len(cells), *pooled.shape))
        for row, cell in zip(step, cells, strict=True):
            row[..., cell] = _STEP * np.abs(pooled[..., cell])
        change, width = (score_of(pooled + step) - score_of(pooled - step)).mean(axis=-1), 2 * step.sum(axis=-1)
        slopes = change / np.where(width > 0, width, np.inf)
        squares += np.einsum("c...,...gc->...g", slopes**2, counts[..., cells] ** 2)
    return np.sqrt(squares)


def effective_df(weights: np.ndarray, growth: float = GROWTH) -> np.ndarray:
    """Return the degrees of freedom (...) of B for clusters of the weights (..., G), which sum to 1.

    G - 1 for equal weights, fewer the more they differ: 2 E[B]^2 / Var(B), where a cluster's part of the score has a
    variance that grows with its weight, and has lost the common mean.
    """
    part, factor = weights**growth, 1 / (1 - weights)
    whole = part.sum(axis=-1, keepdims=True)
    # Covariance of the parts less their common mean: part_g where g = h, less
    # lost_gh = w_g part_h + w_h part_g - whole w_g w_h, everywhere.
    lost = 2 * weights * part - whole * weights**2
    expected = (factor * (part - lost)).sum(axis=-1)
    ww, pp, wp = ((factor * term).sum(axis=-1) for term in (weights**2, part**2, weights * part))
    whole = whole[..., 0]
    squares = 2 * ww * pp + whole**2 * ww**2 + 2 * wp**2 - 4 * whole * ww * wp
    squares += (factor**2 * (part**2 - 2 * part * lost)).sum(axis=-1)
    return expected**2 / squares


@dataclass(frozen=True)
class Part:
    """A part of a variance, and its degrees of freedom: (...) each, or one number for all."""

    variance: np.ndarray
    df: np.ndarray | float


def seeds_part(cell: Crossed) -> Part:
    """Return A: the part of chance in training."""
    seeds, scores = cell.scores.shape[-2], cell.of_seeds
    # From the first seed, so that equal scores have a variance of 0, not what rounding leaves of their mean.
    return Part((scores - scores[..., :1]).var(axis=-1, ddof=1) / seeds, seeds - 1)


def shift_of(cells: Sequence[Crossed]) -> np.ndarray:
    """Return what leaving out each cluster does to the mean score of a cell, or to the first's less the second's."""
    shifts = [cell.shifts.mean(axis=-2) for cell in cells]
    return shifts[0] if len(shifts) == 1 else shifts[0] - shifts[1]


def shared_weights(cells: Sequence[Crossed]) -> np.ndarray:
    """Return the weights of the clusters (..., G), which sum to 1: by how much of these cells' scores rests on each.

    Perfect cells have no pull, since no further pixel would move their score: all clusters then weigh the same.
    """
    pulls = np.sqrt(sum(cell.pull**2 for cell in cells))
    whole = pulls.sum(axis=-1, keepdims=True)
    return np.where(whole == 0, 1 / pulls.shape[-1], pulls / whole)


def interaction(cell: Crossed, weights: np.ndarray) -> np.ndarray:
    """Return I: how much of A and of B is what one seed happens to do to one cluster."""
    seeds, shifts = cell.scores.shape[-2], cell.shifts
    own = shifts - shifts.mean(axis=-2, keepdims=True)
    return ((1 - weights)[..., None, :] * own**2).sum(axis=(-2, -1)) / (seeds * (seeds - 1))


def parts_of(
    cells: Sequence[Crossed],
    chance: Chance = "both",
    *,
    growth: float = GROWTH,
    difference_from: int = SEEDS_FOR_DIFFERENCE,
) -> list[Part]:
    """Return the parts of the variance of a mean score, or of a difference of two.

    chance: what may turn out otherwise: `both` seeds and clusters (the clusters' part comes first), or one of them. A
    cell with one seed, or whose seeds don't vary, has no part for them. growth: see GROWTH. difference_from: so many
    seeds have A - I for their part, fewer have A.
    """
    varying = [cell for cell in cells if cell.seeds_vary and cell.scores.shape[-2] > 1]
    if chance == "seeds":
        return [seeds_part(cell) for cell in varying]
    weights = shared_weights(cells)
    clusters = ((1 - weights) * shift_of(cells) ** 2).sum(axis=-1)
    parts = [Part(clusters, effective_df(weights, growth))]
    for cell in varying if chance == "both" else ():
        seeds, variance = cell.scores.shape[-2], seeds_part(cell).variance
        if seeds >= difference_from:
            variance = np.maximum(variance - interaction(cell, weights), 0)
        parts.append(Part(variance, seeds - 1 - _LOST / (seeds - 1) if seeds > 2 else 1))
    return parts


def too_few(clusters: int, df: np.ndarray | float) -> np.ndarray:
    """Return whether clusters are too few for an interval, by their number and their degrees of freedom."""
    return ~np.greater_equal(df, LEAST_DF) | (clusters < LEAST_CLUSTERS)


def half_width(parts: Sequence[Part], level: float, quantile_of: QuantileOf | None = None) -> np.ndarray:
    """Return half of the symmetric interval's width from independent parts of the variance.

    level: of confidence, such as 0.95. quantile_of: how many standard errors that takes at so many degrees of freedom;
        None: Student's t.
    """
    quantile_of = quantile_of or quantile
    square = whole = over_df = np.zeros(())
    for part in parts:
        # One degree of freedom is that of two seeds, whose part is often far too small: Satterthwaite's rule fails
        # with it. The root of both intervals' squares covers whatever the parts are (Banerjee 1960, Sankhya 22).
        if np.ndim(part.df) == 0 and part.df == 1:
            square = square + quantile_of(level, 1.0) ** 2 * part.variance
        else:
            whole, over_df = whole + part.variance, over_df + part.variance**2 / part.df
    df = np.divide(whole**2, over_df, out=np.ones_like(whole), where=over_df > 0)
    return np.sqrt(square + quantile_of(level, df) ** 2 * whole)


def limits(
    cells: Sequence[Crossed], level: float, scale: Scale, chance: Chance = "both"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and the upper limit (...) of a mean score, or of the first cell's less the second's."""
    if len(cells) == 2:
        mean, half = cells[0].mean - cells[1].mean, half_width(parts_of(cells, chance), level)
        return mean - half, mean + half
    (cell,) = cells
    components = [
        replace(cell, scores=cell.scores[..., [c]], left_out=cell.left_out[..., [c]])
        for c in range(cell.scores.shape[-1])
    ]
    halves = np.stack([half_width(parts_of([one], chance), level) for one in components], axis=-1)
    down, up = _margins(cell.scores.mean(axis=-2), halves, scale)
    margins = (half_width(parts_of([_stretched(cell, stretch)], chance), level) for stretch in (down, up))
    return cell.mean - next(margins), cell.mean + next(margins)


def _margins(values: np.ndarray, halves: np.ndarray, scale: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Return how much longer than `halves` the margins below and above `values` are, on their scale."""
    if scale == "plain":
        return np.ones_like(values), np.ones_like(values)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if scale == "share":
            odds, factor = values / (1 - values), np.exp(halves / (values * (1 - values)))
            low, high = odds / (odds + factor), 1 / (1 + 1 / (odds * factor))
        else:
            factor = np.exp(halves / values)
            low, high = values / factor, values * factor
        # At the ends of the scale (no error, or nothing right) nothing varies.
        inside = (halves > 0) & np.isfinite(factor) & (values > 0) & ((values < 1) | (scale != "share"))
        return np.where(inside, (values - low) / halves, 1), np.where(inside, (high - values) / halves, 1)


def _stretched(cell: Crossed, stretch: np.ndarray) -> Crossed:
    """Return a cell whose components (C) are stretched about their means by (..., C)."""
    mean = cell.scores.mean(axis=-2, keepdims=True)
    scores = mean + (cell.scores - mean) * stretch[..., None, :]
    shifts = (cell.left_out - cell.scores[..., None, :]) * stretch[..., None, None, :]
    return replace(cell, scores=scores, left_out=scores[..., None, :] + shifts)


def quantile(level: float, df: np.ndarray | float) -> np.ndarray:
    """Return Student's t that holds the share `level` between -t and t."""
    from scipy.special import stdtrit  # half a second that only statistics need

    return stdtrit(df, (1 + level) / 2)
