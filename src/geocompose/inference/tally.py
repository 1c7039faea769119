"""What predictions come to, counted while they are made: how often each class, or how each variable's values lie."""

from typing import NamedTuple

import numpy as np

from geocompose.imagery.samples import Target


class Spread(NamedTuple):
    """The least, mean and greatest of a variable's predictions, in its physical unit; NaN where there is none."""

    least: float
    mean: float
    greatest: float


class Tally:
    """Counts predictions as they come.

    count: how many there are.
    """

    def __init__(self, target: Target) -> None:
        self.count = 0
        self._target = target
        self._classes = np.zeros(len(target.names), dtype=np.int64)
        self._sum = np.zeros(len(target.names))
        self._least = np.full(len(target.names), np.inf)
        self._greatest = np.full(len(target.names), -np.inf)

    def add(self, values: np.ndarray) -> None:
        """Take in (bands, n) of what is written: one band of class indices, or one number per class or variable."""
        number = values.shape[1]
        if not number:
            return
        self.count += number
        if not self._target.of_classes:
            self._sum += values.sum(axis=1, dtype=np.float64)
            self._least = np.minimum(self._least, values.min(axis=1))
            self._greatest = np.maximum(self._greatest, values.max(axis=1))
        elif self._target.kind == "multilabel":
            self._classes += (values >= 0.5).sum(axis=1)
        else:
            indices = values[0] if len(values) == 1 else values.argmax(axis=0)
            self._classes += np.bincount(indices, minlength=len(self._classes))

    @property
    def classes(self) -> dict[str, int]:
        """How often each class, by name, was predicted; empty where numbers are."""
        if not self._target.of_classes:
            return {}
        return {name: int(count) for name, count in zip(self._target.names, self._classes, strict=True)}

    @property
    def variables(self) -> dict[str, Spread]:
        """What the predictions of each variable, by name, are like; empty where classes are predicted."""
        if self._target.of_classes:
            return {}
        if not self.count:
            return dict.fromkeys(self._target.names, Spread(np.nan, np.nan, np.nan))
        rows = zip(self._least, self._sum / self.count, self._greatest, strict=True)
        return {name: Spread(*map(float, row)) for name, row in zip(self._target.names, rows, strict=True)}
