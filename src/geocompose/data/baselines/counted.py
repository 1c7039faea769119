"""What a baseline comes to: its predictions counted for each test tile, as a network's are."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geocompose import scores
from geocompose.data.baselines.raw_values import labelled_pixels
from geocompose.data.baselines.samples import LabelledSamples
from geocompose.data.statistics import CELL_PX
from geocompose.data.window import grid
from geocompose.imagery.samples import Target

# Pixels of many small tiles are predicted together: each call of a model has a cost of its own.
_TOGETHER = 2**18


@dataclass(frozen=True)
class Counted:
    """A baseline by its name, how it came about in words, and its counts or sums (tiles, ...); None where it failed."""

    name: str
    detail: str
    per_tile: np.ndarray | None

    def as_record(self, target: Target) -> dict[str, Any]:
        """Return what a record keeps: `name`, `detail`, and the `metrics` of all tiles together."""
        metrics = {} if self.per_tile is None else scores.scores_of(self.per_tile.sum(axis=0), target)
        return {"name": self.name, "detail": self.detail, "metrics": metrics}


def count(truth: np.ndarray, said: np.ndarray, target: Target) -> np.ndarray:
    """Return the counts or sums that `geocompose.scores.SCORES` takes, of labels and predictions of any number.

    truth, said: classes (n), decisions (n, classes), or numbers (n, variables). What has no label counts nowhere.
    """
    if target.kind == "multilabel":
        return scores.multilabel_counts(truth, said)
    if not target.of_classes:
        return scores.regression_sums(truth, said)
    known = truth != target.ignore_index
    return scores.confusion_matrix(truth[known], said[known], target.num_outputs)


def count_pixels(
    data: LabelledSamples, predict: Callable[[np.ndarray], np.ndarray], bands: Sequence[str] | None = None
) -> np.ndarray:
    """Return for each test tile the counts of what `predict` says of the values (n, bands) of its labelled pixels.

    bands: see `geocompose.data.baselines.raw_values.pixel_blocks`.
    """
    per_tile = _empty(data)
    for places, values, truths in _together(data, bands):
        said = predict(np.concatenate(values))
        ends = np.cumsum([len(truth) for truth in truths])[:-1]
        for place, truth, own in zip(places, truths, np.split(said, ends), strict=True):
            per_tile[place] += count(truth, own, data.target)
    return per_tile


def count_images(data: LabelledSamples, places: np.ndarray, truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Return for each test image the counts of what was said of it. places: the images' numbers among all."""
    per_tile = _empty(data)
    for place, one, own in zip(places, truth, said, strict=True):
        per_tile[place] = count(np.asarray(one)[None], np.asarray(own)[None], data.target)
    return per_tile


def _empty(data: LabelledSamples) -> np.ndarray:
    outputs = data.target.num_outputs
    if not data.target.of_classes:
        return np.zeros((len(data.tile_windows("test")), outputs, len(scores.SUMS)))
    shape = (outputs, 2, 2) if data.target.kind == "multilabel" else (outputs, outputs)
    return np.zeros((len(data.tile_windows("test")), *shape), dtype=np.int64)


def _together(
    data: LabelledSamples, bands: Sequence[str] | None
) -> Iterator[tuple[list[int], list[np.ndarray], list[np.ndarray]]]:
    """Yield numbers of test tiles with the values and labels of their labelled pixels, some tiles at a time."""
    places: list[int] = []
    values: list[np.ndarray] = []
    truths: list[np.ndarray] = []
    for place, tile in enumerate(data.tile_windows("test")):
        for cell in grid(tile, CELL_PX):
            block, truth = labelled_pixels(data, cell, bands)
            if len(truth):
                places.append(place)
                values.append(block)
                truths.append(truth)
            if sum(map(len, truths)) >= _TOGETHER:
                yield places, values, truths
                places, values, truths = [], [], []
    if places:
        yield places, values, truths
