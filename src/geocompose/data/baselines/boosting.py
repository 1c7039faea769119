"""Gradient boosting on what a pixel's or an image's own values tell: trees, which need no scale and take any form."""

import numpy as np

from geocompose.errors import UserError

# A fit's time is bounded by its size alone, so that the result never depends on the machine: on two cores about ten
# seconds for two classes in six bands, and as long again for each further class.
MAX_PIXELS = 100_000
ITERATIONS = 100
_LEAVES = 31
_LEARNING_RATE = 0.1
_SMALLEST_LEAF = 20


def boosted_classes(values: np.ndarray, classes: np.ndarray, seed: int = 0) -> "BoostedClasses":
    """Return scikit-learn's histogram gradient boosting, fitted to values (n, features) and classes (n).

    Values may be NaN, which is a branch of its own. Without a choice, it is the only class there is.
    """
    return BoostedClasses(values, classes, seed)


class BoostedClasses:
    """A fitted classifier, or the only class that there is."""

    def __init__(self, values: np.ndarray, classes: np.ndarray, seed: int) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier

        there = np.unique(classes)
        self._only = int(there[0]) if len(there) == 1 else None
        if not len(there):
            raise UserError("No training label is known, so there is nothing to learn.")
        if self._only is None:
            self._model = HistGradientBoostingClassifier(**_settings(len(values)), random_state=seed)
            self._model.fit(values, classes)

    def predict(self, values: np.ndarray) -> np.ndarray:
        """Return the class of each row, int64 (n)."""
        if self._only is not None:
            return np.full(len(values), self._only, dtype=np.int64)
        return self._model.predict(values).astype(np.int64)


def boosted_numbers(values: np.ndarray, numbers: np.ndarray, seed: int = 0) -> "BoostedNumbers":
    """Return scikit-learn's histogram gradient boosting, fitted to values (n, features) and numbers (n, variables).

    Each variable has a model of its own, fitted to the rows in which it is not NaN.
    """
    return BoostedNumbers(values, numbers, seed)


class BoostedNumbers:
    """A fitted model for each variable."""

    def __init__(self, values: np.ndarray, numbers: np.ndarray, seed: int) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        self._models = []
        for column in numbers.T.astype(np.float64):
            known = ~np.isnan(column)
            model = HistGradientBoostingRegressor(**_settings(int(known.sum())), random_state=seed)
            self._models.append(model.fit(values[known], column[known]))

    def predict(self, values: np.ndarray) -> np.ndarray:
        """Return the numbers of each row, float64 (n, variables)."""
        return np.stack([model.predict(values) for model in self._models], axis=1)


def _settings(rows: int) -> dict[str, int | float | bool]:
    return {
        "max_iter": ITERATIONS,
        "learning_rate": _LEARNING_RATE,
        "max_leaf_nodes": _LEAVES,
        # scikit-learn's 20 leaves a few images no tree at all.
        "min_samples_leaf": max(1, min(_SMALLEST_LEAF, rows // 10)),
        # Of many rows it would set a tenth aside by chance and stop by it.
        "early_stopping": False,
    }
