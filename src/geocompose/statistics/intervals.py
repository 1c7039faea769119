"""Intervals of a score over training seeds and test tiles, and of the difference of two: the one estimator of all.

    score = Score("mIoU", ("land", "water"))
    one = estimate(counts, scenes, score)          # counts (seeds, tiles, 2, 2), a scene's name per tile
    one.mean, one.interval                         # 0.841, 0.816 to 0.866
    difference(counts, others, scenes, score)      # on the same tiles

An interval says for what it holds, its target:

- `interval`, the one to report: a new training seed, scored on new clusters (scenes, events) of the same population, as
  many as could be had. Both the seeds and the places that happened to be drawn make it wider.
- `on_these_tiles`: a new training seed, scored on these very tiles. It says nothing about other places.
- `of_these_models`: the trained models at hand, on new clusters. It says nothing about other seeds.

Where the data can't tell, an interval has no bounds, and a reason in words. How it is computed, and its sources: see
`geocompose.statistics.crossed`. How often it holds: docs/intervals.md.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from geocompose.errors import UserError
from geocompose.statistics.crossed import LEAST_CLUSTERS, Chance, Crossed, Part, limits, parts_of, too_few
from geocompose.statistics.pooled import Score
from geocompose.statistics.prepared import Prepared, prepared


@dataclass(frozen=True)
class Interval:
    """Bounds of a score, or a reason why there are none."""

    low: float | None
    high: float | None
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether there are bounds."""
        return self.low is not None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return self.reason
        # Two digits of the width tell all that is known.
        digits = max(0, 1 - math.floor(math.log10((self.high - self.low) / 2)))
        return f"{self.low:.{digits}f} to {self.high:.{digits}f}"


@dataclass(frozen=True)
class Estimate:
    """A score, or a difference of scores, and how sure it is.

    mean: over the seeds, of the score of each seed's pooled counts. interval: for a new seed on new clusters; this is
    what is reported. on_these_tiles, of_these_models: narrower statements, see the module. clusters: how many have
    counts. effective_clusters: how many equal ones they are worth; fewer where a few hold most of what the score rests
    on. seeds_share: share of the variance that is the seeds'; NaN where it isn't known.
    """

    mean: float
    interval: Interval
    on_these_tiles: Interval
    of_these_models: Interval
    level: float
    clusters: int
    effective_clusters: float
    seeds_share: float

    @property
    def widest_known(self) -> Interval:
        """The interval to report: of new seeds and places, or, where that isn't known, of new seeds on these tiles."""
        return self.interval if self.interval.known else self.on_these_tiles


def estimate(counts: np.ndarray, clusters: Sequence[Hashable], score: Score, *, level: float = 0.95) -> Estimate:
    """Return a cell's score with its intervals.

    counts: what each seed's model has counted on each test tile, (seeds, tiles, ...), as `confusion.npz` and
        `tile_sums.npz` of each seed's run hold them; (tiles, ...) where training has no chance in it (most baselines).
    clusters: of each tile, the scene, event or block that it belongs to. Tiles of different clusters are taken to be
        independent: see `geocompose.statistics.blocks` for tiles of one raster.
    level: of confidence.

    Raises:
        UserError: counts, clusters and score don't fit together, or seeds have other truths on a tile.
    """
    (cell,) = prepared([counts], clusters, score)
    return estimate_of(cell, level=level)


def estimate_of(cell: Prepared, *, level: float = 0.95) -> Estimate:
    """Return the same as `estimate` of a cell that is prepared."""
    return _estimate([cell], level)


def difference(
    first: np.ndarray, second: np.ndarray, clusters: Sequence[Hashable], score: Score, *, level: float = 0.95
) -> Estimate:
    """Return the first cell's score less the second's, on the same tiles, with the difference's intervals.

    Tiles are paired: what is hard for both cells cancels. Seeds are not: equal numbers make no pairs, so the cells may
    have different seeds, and more or fewer of them. For the rest see `estimate`.
    """
    cells = prepared([first, second], clusters, score)
    return difference_of(*cells, level=level)


def difference_of(first: Prepared, second: Prepared, *, level: float = 0.95) -> Estimate:
    """Return the same as `difference` of two cells that were prepared together."""
    return _estimate([first, second], level)


def _estimate(ready: Sequence[Prepared], level: float) -> Estimate:
    if not 0 < level < 1:
        raise UserError(f"level must be between 0 and 1, such as 0.95; got {level}.")
    score, labels, cells = ready[0].score, ready[0].labels, [one.crossed for one in ready]
    assert all((one.score, one.labels) == (score, labels) for one in ready), "cells that were prepared apart"
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = parts_of(cells)
        known = {chance: limits(cells, level, score.scale, chance) for chance in get_args(Chance)}
    mean = float(cells[0].mean) if len(cells) == 1 else float(cells[0].mean - cells[1].mean)
    no_seeds, no_clusters = _seeds_lack(cells), _clusters_lack(cells, labels, parts[0], score)
    fixed = (
        ""
        if any(cell.seeds_vary for cell in cells)
        else "training has no chance in it: on these tiles the score is what it is"
    )

    def interval(chance: Chance, *reasons: str) -> Interval:
        low, high = (float(side) for side in known[chance])
        reason = next(filter(None, (_undefined(mean, score), *reasons)), "")
        if not reason and not low < high:
            reason = "nothing varies: every seed and every cluster has the same score, so there is nothing to go by"
        return Interval(None, None, reason) if reason else Interval(low, high)

    of_all, of_clusters = sum(float(part.variance) for part in parts), float(parts[0].variance)
    told = not (no_seeds or no_clusters) and of_all > 0
    return Estimate(
        mean=mean,
        interval=interval("both", no_seeds, no_clusters),
        on_these_tiles=interval("seeds", no_seeds, fixed),
        of_these_models=interval("clusters", no_clusters),
        level=level,
        clusters=len(labels),
        effective_clusters=float(parts[0].df) + 1 if len(labels) > 1 else float(len(labels)),
        seeds_share=1 - of_clusters / of_all if told else float("nan"),
    )


def _undefined(mean: float, score: Score) -> str:
    return f"{score.metric} is not defined: the test tiles have no label that it needs" if np.isnan(mean) else ""


def _seeds_lack(cells: Sequence[Crossed]) -> str:
    """Return why the chance in training can't be told, or nothing."""
    lone = any(cell.seeds_vary and len(cell.scores) == 1 for cell in cells)
    return "too few seeds: 1 of a cell, which doesn't tell what another seed would give; 3 or more do" if lone else ""


def _clusters_lack(cells: Sequence[Crossed], labels: Sequence[Hashable], part: Part, score: Score) -> str:
    """Return why other places can't be told of, or nothing."""
    number = len(labels)
    if number < LEAST_CLUSTERS:
        return f"too few clusters: {number}; other places can be told of from {LEAST_CLUSTERS} on"
    alone = np.isnan(sum(cell.shifts.sum(axis=0) for cell in cells))
    if alone.any():
        only = labels[int(alone.argmax())]
        return f"too few clusters: {only} alone has a class or a variable that {score.metric} is made of"
    df = float(part.df)
    if float(part.variance) > 0 and too_few(number, part.df):
        return f"too few clusters: {number}, worth {df + 1:.1f} equal ones, since {score.metric} rests on a few of them"
    return ""
