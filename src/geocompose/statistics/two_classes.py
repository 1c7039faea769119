"""Precision, recall and the threshold of two classes, from counts by probability. NumPy alone.

    counts: (2, bins) of the second class's probability, rows the truth, as `thresholds.npz` of a run holds them.

Source: Davis & Goadrich 2006, ICML (precision-recall curves); average precision as a sum over steps of recall.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PrecisionRecall:
    """thresholds: (bins,), from which on the second class is said. precision: NaN where nothing is said. recall."""

    thresholds: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def average(self) -> float:
        """The average precision: the mean precision over steps of recall; NaN without the second class."""
        recall, precision = self.recall[::-1], self.precision[::-1]  # from the highest threshold on
        known = ~np.isnan(precision)
        if not known.any() or np.isnan(recall).all():
            return float("nan")
        return float((np.diff(recall[known], prepend=0.0) * precision[known]).sum())


def precision_recall(counts: np.ndarray) -> PrecisionRecall:
    """Return precision and recall of the second class at each threshold, from counts (2, bins)."""
    matrices = matrices_at_all(counts)
    hits, said, there = matrices[:, 1, 1], matrices[:, :, 1].sum(axis=1), matrices[:, 1].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return PrecisionRecall(np.arange(counts.shape[1]) / counts.shape[1], hits / said, hits / there)


def matrices_at_all(counts: np.ndarray) -> np.ndarray:
    """Return the confusion matrix (rows truth, columns said) at each threshold: (bins, 2, 2) of counts (2, bins)."""
    said = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]  # at or above each threshold
    not_said = counts.sum(axis=1, keepdims=True) - said
    return np.stack([not_said, said], axis=-1).transpose(1, 0, 2)


def best_threshold(counts: np.ndarray) -> int:
    """Return the bin from which on the second class is to be said for the highest mean IoU of both, from (2, bins).

    Of several the one nearest to the middle. Choose it on validation: a threshold that test counts have chosen looks
    better than it is.
    """
    matrices = matrices_at_all(counts)
    right = np.diagonal(matrices, axis1=1, axis2=2)
    union = matrices.sum(axis=1) + matrices.sum(axis=2) - right
    with np.errstate(invalid="ignore", divide="ignore"):
        score = np.nanmean(np.where(union > 0, right / union, np.nan), axis=1)
    best = np.flatnonzero(score >= np.nanmax(score) - 1e-12)
    return int(best[np.argmin(np.abs(best - counts.shape[1] // 2))])
