"""Counts of tiles pooled into clusters, and the score that is made of them."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from geocompose.errors import UserError, did_you_mean
from geocompose.imagery.samples import OF_CLASSES, Kind
from geocompose.scores import MANY_SCORES, better
from geocompose.statistics.crossed import Scale, ScoreOf


@dataclass(frozen=True)
class Score:
    """A metric of pooled counts, as the runs of a task report it.

    metric: its name (`mIoU`, `IoU_water`, `RMSE`). names: of the classes or variables, in the order of the counts.
    """

    metric: str
    names: tuple[str, ...]
    kind: Kind = "segmentation"

    def __post_init__(self) -> None:
        known = MANY_SCORES[self.kind](np.zeros(self.shape), self.names)
        if self.metric not in known or self.metric == "classes_present":
            offered = [name for name in known if name != "classes_present"]
            raise UserError(
                f"metric must be one of {', '.join(offered)}; got {self.metric!r}. "
                f"{did_you_mean(self.metric, {name: name for name in offered})}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one tile's counts."""
        number = len(self.names)
        if not self.of_classes:
            return number, 6
        return (number, 2, 2) if self.kind == "multilabel" else (number, number)

    @property
    def of_classes(self) -> bool:
        """Whether counts are of classes, rather than sums over numbers."""
        return self.kind in OF_CLASSES

    @property
    def higher(self) -> bool:
        """Whether more of it is better."""
        return better(self.metric) != "lower"

    @property
    def scale(self) -> Scale:
        """On which scale the metric is about symmetric."""
        if self.of_classes:
            return "share"
        return "plain" if self.metric.startswith("R2") else "error"

    def of(self, pooled: np.ndarray) -> ScoreOf:
        """Return the function from counts (..., cells) to scores (..., C), for parts of these pooled counts (cells).

        Of a mean over classes or variables, C are those of its classes or variables that the pooled counts have. It
        returns NaN for a part in which one of them is missing: the mean of fewer is another quantity.
        """
        whole = self.every(pooled)
        present = {name for name in whole if not np.isnan(whole[name])}
        stem = {"mIoU": "IoU", "F1_macro": "F1"}.get(self.metric, self.metric)
        parts = [f"{stem}_{name}" for name in self.names if f"{stem}_{name}" in present]
        single = self.metric.endswith("_micro") or any(self.metric.endswith(f"_{name}") for name in self.names)
        if single or not parts:
            parts = [self.metric]
        # What shows that a class or a variable is there, where the metric is made of all that are.
        signs = () if single else tuple(f"_{name}" for name in self.names)
        needed = {name for name in present if name.endswith(signs)} if self.of_classes and signs else set(parts)

        def score_of(counts: np.ndarray) -> np.ndarray:
            scores = self.every(counts)
            values = np.stack([scores[part] for part in parts], axis=-1)
            for name in needed:
                values[np.isnan(scores[name])] = np.nan
            return values

        return score_of

    def every(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Return all scores of the metric's kind, by name, of counts (..., cells): (...) each."""
        return MANY_SCORES[self.kind](counts.reshape(*counts.shape[:-1], *self.shape), self.names)


def checked_counts(counts: np.ndarray, score: Score) -> np.ndarray:
    """Return counts as float64 (seeds, tiles, ...); those of one model without seeds get a first axis of length 1.

    Raises:
        UserError: another shape than the score's, no seed or tile, no counts, or seeds that have other truths.
    """
    counts = np.asarray(counts, dtype=np.float64)
    inner = len(score.shape)
    if counts.shape[-inner:] != score.shape or counts.ndim not in (inner + 1, inner + 2) or 0 in counts.shape:
        shape = ", ".join(map(str, score.shape))
        raise UserError(
            f"counts must be (seeds, tiles, {shape}), or (tiles, {shape}) where training has no chance in it; got "
            f"{counts.shape} for {score.metric} of {score.kind} with the names {', '.join(score.names)}."
        )
    if not np.isfinite(counts).all() or (score.of_classes and (counts < 0).any()):
        raise UserError(
            "counts must be finite, and 0 or more where they are of classes; got NaN, infinity or less than 0."
        )
    counts = counts if counts.ndim == inner + 2 else counts[None]
    for other in counts[1:]:
        check_one_truth(truth_of(counts[0], score), truth_of(other, score))
    return counts


def truth_of(counts: np.ndarray, score: Score) -> np.ndarray:
    """Return what counts (tiles, ...) say of the tiles' labels: how many each class or variable has, (tiles, ...)."""
    return counts.sum(axis=-1) if score.of_classes else counts[..., 0]


def check_one_truth(one: np.ndarray, other: np.ndarray) -> None:
    """Refuse truths (tiles, ...) of two models that were not scored on the same tiles in the same order.

    Raises:
        UserError: names the first tile where they differ.
    """
    if one.shape != other.shape:
        raise UserError(f"Both must be scored on the same tiles; got {len(one)} and {len(other)} tiles.")
    differs = (one != other).reshape(len(one), -1).any(axis=-1)
    if differs.any():
        raise UserError(
            f"All must be scored on the same tiles in the same order; the labels of {int(differs.sum())} of {len(one)} "
            f"tiles differ, first of tile {int(differs.argmax())}. Check data.split, data.seed and data.tile_px."
        )


def in_clusters(counts: np.ndarray, clusters: Sequence[Hashable]) -> tuple[np.ndarray, list[Hashable]]:
    """Return the counts (seeds, clusters, cells) of each cluster, and the clusters' labels in order of appearance.

    counts: (seeds, tiles, ...). Clusters without any count are left out: they say nothing.

    Raises:
        UserError: not a label per tile, or a tile without one.
    """
    pooled, labels = by_cluster(counts, clusters)
    filled = np.flatnonzero(pooled.any(axis=(0, 2)))
    return pooled[:, filled], [labels[i] for i in filled]


def by_cluster(counts: np.ndarray, clusters: Sequence[Hashable]) -> tuple[np.ndarray, list[Hashable]]:
    """Return the same as `in_clusters`, with the clusters that have no counts."""
    tiles = counts.shape[1]
    if len(clusters) != tiles:
        raise UserError(f"clusters must be a label per tile; got {len(clusters)} labels for {tiles} tiles.")
    missing = [i for i, label in enumerate(clusters) if label is None or label == "" or label != label]
    if missing:
        raise UserError(f"clusters must be a label per tile; {len(missing)} tiles have none, first tile {missing[0]}.")
    places = {label: i for i, label in enumerate(dict.fromkeys(clusters))}
    flat = counts.reshape(len(counts), tiles, -1)
    pooled = np.zeros((len(counts), len(places), flat.shape[-1]))
    for tile, label in enumerate(clusters):
        pooled[:, places[label]] += flat[:, tile]
    return pooled, list(places)
