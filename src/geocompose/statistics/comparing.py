"""Many cells compared with each other at once: which are tied with the best, and how small a difference would show.

    found = tied_with_best(counts, scenes, score)      # counts of each cell: (seeds, tiles, ...)
    found.members                                      # the cells that this study can't tell from the best one
    found.smallest_seen                                # 0.021: smaller differences would mostly stay hidden

A cell is out where some other cell is better by more than chance gives. Chance is that of the largest of all pairs of
differences: with k equal cells the best of them looks better than the worst by the studentised range, so a difference
counts from

    q(level, k, df') / sqrt(2) x sqrt(max(V, (V + mean V) / 2))        df' = df / (1/4 + 3 / (2 k))

on. V is the variance of that difference and df its degrees of freedom, as in `geocompose.statistics.crossed`: tiles
paired, seeds not. Of many pairs one always has a variance that is far too small by chance (a few seeds that happen to
agree), so half of what a pair is given is the mean over all pairs; a noisier pair keeps its own. df' is what such a
mean of two has where the k / 2 disjoint pairs are independent. Of all studies, at most 1 - level put out a cell that is
as good as the best one; how often it happens: docs/comparing.md.

Source: Tukey 1953 (the studentised range); Games & Howell 1976, J Educ Stat 1 (each difference's own variance and
degrees of freedom); Hsu 1984, Ann Stat 12 (comparisons with the best). The mean of two variances is our own, chosen by
the simulation of experiments/tied.
"""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

from geocompose.errors import UserError
from geocompose.statistics import studentized_range
from geocompose.statistics.crossed import (
    LEAST_CLUSTERS,
    Chance,
    Crossed,
    Part,
    half_width,
    parts_of,
    quantile,
    too_few,
)
from geocompose.statistics.pooled import Score
from geocompose.statistics.prepared import Prepared, prepared

POWER = 0.8
# With fewer seeds A - I is taken for A: among many pairs one is far too small.
SEEDS_FOR_DIFFERENCE = 10
# Between these degrees of freedom the studentised range is read from a table, even in 1 / df, where it is smooth.
_DFS = 1 / np.linspace(1 / 1.1, 1 / 1000, 60)


@dataclass(frozen=True)
class Pair:
    """The first cell less the second one. limit: how far from 0 chance takes the largest of all differences."""

    first: int
    second: int
    difference: float
    limit: float
    smallest_seen: float

    @property
    def differ(self) -> bool:
        """Whether the two can be told apart."""
        return abs(self.difference) > self.limit


@dataclass(frozen=True)
class Tied:
    """The cells that can't be told from the best one.

    means: each cell's score. order: the cells from the best to the worst. members: those tied with the best, in that
    order; all of them where nothing can be told, which `reason` then says. chance: what may turn out otherwise: `both`
    other seeds and other places; `seeds`: other seeds on these very tiles. pairs: all of them. smallest_seen: the
    median over all pairs of the difference that this study would show with a probability of 80 %; NaN where nothing can
    be told. level: the share of studies that put out no cell which is as good as the best one.
    """

    means: tuple[float, ...]
    order: tuple[int, ...]
    members: tuple[int, ...]
    pairs: tuple[Pair, ...]
    smallest_seen: float
    chance: Chance
    level: float
    reason: str = ""

    @property
    def best(self) -> int:
        """The cell with the best score, which chance may have chosen among the members."""
        return self.order[0]


def tied_with_best(
    counts: Sequence[np.ndarray], clusters: Sequence[Hashable], score: Score, *, level: float = 0.95
) -> Tied:
    """Return which of two or more cells are tied with the best one, by their counts on the same tiles.

    counts: of each cell (seeds, tiles, ...), or (tiles, ...) where training has no chance in it. clusters: of each tile
    the scene, event or block that it belongs to. With too few clusters or seeds for other places, the answer is for
    other seeds on these tiles, and `reason` says so.

    Raises:
        UserError: fewer than two cells, or cells that were not scored on the same tiles.
    """
    return tied_of(prepared(counts, clusters, score), level=level)


def tied_of(ready: Sequence[Prepared], *, level: float = 0.95) -> Tied:
    """Return the same as `tied_with_best` of cells that were prepared together."""
    _check_two(len(ready))
    score, labels, cells = ready[0].score, ready[0].labels, [one.crossed for one in ready]
    assert all((one.score, one.labels) == (score, labels) for one in ready), "cells that were prepared apart"
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [float(cell.mean) for cell in cells]
        lone = [place for place, cell in enumerate(cells) if cell.seeds_vary and cell.scores.shape[-2] < 2]
        if not np.isfinite(means).all():
            return tied(means, [], higher=score.higher, level=level, reason=_UNDEFINED.format(score.metric))
        if lone:
            return tied(means, [], higher=score.higher, level=level, reason=_LONE.format(len(lone), len(cells)))
        parts = _all_parts(cells, "both")
        if not _vary(parts):
            return tied(means, [], higher=score.higher, level=level, reason=_STILL)
        lack = _lack(len(labels), parts)
        if not lack:
            return tied(means, parts, higher=score.higher, level=level)
        parts = _all_parts(cells, "seeds")
        if not _vary(parts):
            return tied(means, [], chance="seeds", higher=score.higher, level=level, reason=f"{lack}, {_SAME_SEEDS}")
        return tied(means, parts, chance="seeds", higher=score.higher, level=level, reason=lack)


def tied_by_seeds(scores: Sequence[Sequence[float]], *, higher: bool = True, level: float = 0.95) -> Tied:
    """Return which of two or more cells are tied with the best one, by the scores of their seeds alone.

    For tables of which the tiles' counts aren't known, such as published ones: what is said holds for other seeds on
    the very same test tiles. scores: of each cell, one per seed; the cells may have different numbers of them. Where no
    cell's seeds vary, as of scores that were rounded, nothing can be told.

    Raises:
        UserError: fewer than two cells, or a score that is not a finite number.
    """
    values = [np.asarray(one, dtype=np.float64) for one in scores]
    odd = [place for place, one in enumerate(values) if not np.isfinite(one).all()]
    if odd:
        raise UserError(f"scores must be finite numbers; got {list(scores[odd[0]])} of cell {odd[0]}.")
    means = [float(one.mean()) for one in values]
    lone = sum(len(one) < 2 for one in values)
    if lone:
        return tied(means, [], chance="seeds", higher=higher, level=level, reason=_LONE.format(lone, len(values)))
    # From the first seed, so that equal scores have a variance of 0, not what rounding leaves of their mean.
    parts = [Part((one - one[0]).var(ddof=1) / len(one), float(len(one) - 1)) for one in values]
    pairs = list(combinations(parts, 2))
    if pairs and not _vary(pairs):
        reason = f"the seeds of all {len(values)} cells do not vary: scores may be rounded"
        return tied(means, [], chance="seeds", higher=higher, level=level, reason=reason)
    return tied(means, pairs, chance="seeds", higher=higher, level=level)


_LONE = "too few seeds: {} of {} cells have a single one, which doesn't tell what another would give"
_STILL = "nothing varies: neither seeds nor clusters change any difference, so there is nothing to go by"
_SAME_SEEDS = "and no cell's seeds vary"
_UNDEFINED = "{} is not defined: the test tiles have no label that it needs"


def _vary(parts: Sequence[Sequence[Part]]) -> bool:
    """Return whether anything of the pairs varies, or is not known; else the least difference would count."""
    return not all(part.variance == 0 for pair in parts for part in pair)


def tied(
    means: Sequence[float],
    parts: Sequence[Sequence[Part]],
    *,
    higher: bool,
    level: float,
    chance: Chance = "both",
    reason: str = "",
) -> Tied:
    """Return the tied group from the cells' scores and the parts of the variance of each pair's difference.

    parts: one sequence per pair, in the order of `itertools.combinations`; none where nothing can be told. All are
        finite: what is not known of one pair would reach the limits of all, and nothing would ever differ.
    """
    _check_two(len(means))
    assert all(np.isfinite(part.variance) and np.isfinite(part.df) for pair in parts for part in pair), parts
    signed = np.array(means) * (1 if higher else -1)
    order = tuple(np.argsort(-signed, kind="stable").tolist())
    pairs = tuple(_pairs(means, parts, level)) if parts else ()
    out = {pair.first if signed[pair.first] < signed[pair.second] else pair.second for pair in pairs if pair.differ}
    seen = [pair.smallest_seen for pair in pairs]
    return Tied(
        means=tuple(means),
        order=order,
        members=tuple(place for place in order if place not in out),
        pairs=pairs,
        smallest_seen=float(np.median(seen)) if seen else math.nan,
        chance=chance,
        level=level,
        reason=reason,
    )


def _check_two(cells: int) -> None:
    if cells < 2:
        raise UserError(f"A comparison needs 2 or more cells; got {cells}.")


def _pairs(means: Sequence[float], parts: Sequence[Sequence[Part]], level: float) -> Iterator[Pair]:
    cells = len(means)
    own = np.array([sum(float(part.variance) for part in pair) for pair in parts])
    steadied = limits(parts, level, cells)
    for (first, second), limit, pair, variance in zip(combinations(range(cells), 2), steadied, parts, own, strict=True):
        # A true difference of limit + t standard errors passes the limit with the probability POWER.
        scale = math.sqrt(max(1.0, (variance + own.mean()) / (2 * variance))) if variance > 0 else 1.0
        beyond = scale * float(half_width(pair, 2 * POWER - 1))
        yield Pair(first, second, means[first] - means[second], float(limit), float(limit) + beyond)


def limits(parts: Sequence[Sequence[Part]], level: float, cells: int) -> list[np.ndarray]:
    """Return how far from 0 chance takes the difference of each pair, at most: (...) each, as the parts' variances.

    parts: of each pair's variance, of so many cells; see the module for the formula.
    """
    lost = 1 / 4 + 3 / (2 * cells)
    own = [sum(np.asarray(part.variance) for part in pair) for pair in parts]
    mean = sum(own) / len(own)
    found = []
    for pair, variance in zip(parts, own, strict=True):
        half = half_width(pair, level, lambda at, df: simultaneous(at, df / lost, cells))
        with np.errstate(invalid="ignore", divide="ignore"):
            steadied = half * np.sqrt(np.maximum(1, (variance + mean) / (2 * variance)))
        # Two cells of which nothing varies are given the others' chance alone.
        without = simultaneous(level, 1 / lost, cells) * np.sqrt(mean / 2)
        found.append(np.where(variance > 0, steadied, without))
    return found


def _all_parts(cells: Sequence[Crossed], chance: Chance) -> list[list[Part]]:
    return [parts_of(pair, chance, difference_from=SEEDS_FOR_DIFFERENCE) for pair in combinations(cells, 2)]


def _lack(clusters: int, parts: Sequence[Sequence[Part]]) -> str:
    """Return why other places can't be told of, or nothing."""
    if clusters < LEAST_CLUSTERS:
        return f"too few clusters: {clusters}; this is about other seeds on these very tiles"
    of_clusters = [pair[0] for pair in parts]
    if not all(np.isfinite(part.variance) for part in of_clusters):
        return "too few clusters: one alone has a class or variable; this is about other seeds on these very tiles"
    if any(part.variance > 0 and too_few(clusters, part.df) for part in of_clusters):
        return "too few clusters: the scores rest on a few of them; this is about other seeds on these very tiles"
    if not any(part.variance > 0 for part in of_clusters):
        return "no cluster changes any difference; this is about other seeds on these very tiles"
    return ""


def simultaneous(level: float, df: np.ndarray | float, cells: int) -> np.ndarray:
    """Return how many standard errors the largest difference of so many equal cells stays within: (...), as df.

    level: of confidence. For two cells this is Student's t.
    """
    if cells == 2:
        return quantile(level, df)
    # Below the table's least df: as at it, which `too_few` keeps out but for two seeds, whose df is 1.
    inverse = 1 / np.clip(np.asarray(df, dtype=np.float64), 1.0, None)
    known = 1 / np.concatenate([[1.0], _DFS])
    return np.interp(inverse, known[::-1], np.array(_table(level, cells))[::-1])


@cache
def _table(level: float, cells: int) -> tuple[float, ...]:
    """Return the studentised range's quantiles at the table's dfs, in standard errors of a difference."""
    return tuple(studentized_range.quantile(level, cells, df) / math.sqrt(2) for df in (1.0, *_DFS))
