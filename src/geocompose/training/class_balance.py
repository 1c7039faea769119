"""Class weights that follow from the training labels, in place of the word `balanced`."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from geocompose.data.census import Census
from geocompose.data.labels.tally import ClassTally, MultilabelTally
from geocompose.data.module import SceneData
from geocompose.errors import UserError

log = logging.getLogger("geocompose")

BALANCED = "balanced"
_KEYS = ("class_weights", "positive_weights")


def balanced_weights(counts: Sequence[int] | np.ndarray) -> list[float]:
    """Return n / (classes * n of the class) for each class, of n labels in all, so that all classes weigh the same.

    It is scikit-learn's formula: over all labels the mean weight is 1. `classes` are those that have a label; another
    one has the weight 1, which matters for label smoothing and a validation split that has it.
    """
    numbers = np.asarray(counts, dtype=np.float64)
    present = numbers > 0
    weights = np.ones(len(numbers))
    weights[present] = numbers.sum() / (present.sum() * numbers[present])
    return weights.tolist()


def balanced_positive_weights(yes: Sequence[int] | np.ndarray, known: Sequence[int] | np.ndarray) -> list[float]:
    """Return no / yes for each class, by which its yes weigh as much as its no; 1 where one is lacking."""
    positive, every = np.asarray(yes, dtype=np.float64), np.asarray(known, dtype=np.float64)
    both = (positive > 0) & (positive < every)
    weights = np.ones(len(positive))
    weights[both] = (every[both] - positive[both]) / positive[both]
    return weights.tolist()


def with_balance(task: Mapping[str, Any], data: SceneData) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """Return a task's configuration with numbers in place of `balanced`, and these numbers by key and class.

    data: after `setup`. Labels of the training tiles count that are trained on (`data.min_valid`).

    Raises:
        UserError: `balanced` class weights of a multilabel task, whose classes don't compete.
    """
    asked = [key for key in _KEYS if task.get(key) == BALANCED]
    if not asked:
        return dict(task), {}
    if data.target.kind == "multilabel" and "class_weights" in asked:
        raise UserError(
            "task.class_weights=balanced is for classes that exclude each other; of a multilabel task each class is "
            "decided by itself. Balance its yes and no: task.positive_weights=balanced, or task.loss=balanced_bce."
        )
    key, names = asked[0], data.target.names
    counts, known = _training_counts(data)
    if data.target.kind == "multilabel":
        weights, lacking = balanced_positive_weights(counts, known), (counts == 0) | (counts == known)
        rule, why = "no / yes of its training images", "only yes or only no"
    else:
        weights, lacking = balanced_weights(counts), counts == 0
        rule, why = "n / (classes * n of the class) over the training labels", "no training label"
    shown = ", ".join(f"{name} {weight:.4g}" for name, weight in zip(names, weights, strict=True))
    log.info("task.%s=balanced is %s: %s.", key, rule, shown)
    if lacking.any():
        without = ", ".join(name for name, lacks in zip(names, lacking, strict=True) if lacks)
        log.warning("task.%s=balanced: %s has %s, and gets the weight 1.", key, without, why)
    return {**task, key: weights}, {key: dict(zip(names, weights, strict=True))}


def _training_counts(data: SceneData) -> tuple[np.ndarray, np.ndarray]:
    """Return how many training labels have each class, and of how many that is known."""
    if data.min_valid:
        kept: Census = data.census.of(data.training_tiles)
        return kept.classes.sum(axis=0), kept.known.sum(axis=0)
    tally = data.statistics.labels["train"]
    assert isinstance(tally, ClassTally | MultilabelTally)
    known = tally.known if isinstance(tally, MultilabelTally) else np.full_like(tally.counts, tally.counts.sum())
    return tally.counts, known
