"""Cells made ready once for all that is asked of them: checked, pooled by cluster, scored without each of these.

    cells = prepared([counts, others], scenes, score)     # what each cell has counted on the same tiles
    estimate_of(cells[0]), difference_of(*cells), tied_of(cells)

Scoring a cell without each cluster takes most of the time; intervals, comparisons and shares of the variance all rest
on it.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from geocompose.statistics.crossed import Crossed, crossed
from geocompose.statistics.pooled import Score, check_one_truth, checked_counts, in_clusters, truth_of


@dataclass(frozen=True)
class Prepared:
    """A cell's scores, and what leaving out clusters does to them. labels: of the clusters that have counts."""

    score: Score
    crossed: Crossed
    labels: tuple[Hashable, ...]


def prepared(counts: Iterable[np.ndarray], clusters: Sequence[Hashable], score: Score) -> list[Prepared]:
    """Return cells that were scored on the same tiles, ready to be compared.

    counts: of each cell (seeds, tiles, ...), or (tiles, ...) where training has no chance in it. clusters: of each tile
    the scene, event or block that it belongs to.

    Raises:
        UserError: counts, clusters and score don't fit together, or cells or seeds have other truths on a tile.
    """
    found, first = [], None
    for one in counts:
        checked = checked_counts(one, score)
        truth = truth_of(checked[0], score)
        first = truth if first is None else first
        check_one_truth(first, truth)
        pooled, labels = in_clusters(checked, clusters)
        with np.errstate(invalid="ignore", divide="ignore"):
            # What the labels have is the same for all cells, and so is what their scores are made of.
            own = crossed(pooled, score.of(pooled[0].sum(axis=0)), seeds_vary=np.ndim(one) == checked.ndim)
        found.append(Prepared(score, own, tuple(labels)))
    return found
