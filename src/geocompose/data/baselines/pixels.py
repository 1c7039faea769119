"""Baselines of data where pixels have labels: what a pixel's own values tell, and the labels alone."""

from typing import Any

import numpy as np

from geocompose import scores
from geocompose.data.baselines.raw_values import pixel_blocks, pixels
from geocompose.data.baselines.samples import LabelledSamples
from geocompose.data.labels.tally import ClassTally, NumberTally
from geocompose.errors import UserError


def constant(data: LabelledSamples, max_pixels: int) -> dict[str, Any]:
    """Return the scores of the most frequent training class, or of the training labels' means, at every pixel."""
    tally = data.statistics.labels["train"]
    if isinstance(tally, ClassTally):
        most = int(tally.counts.argmax())
        truth = np.array(data.statistics.class_counts["test"], dtype=np.int64)
        matrix = np.zeros((len(truth), len(truth)), dtype=np.int64)
        matrix[:, most] = truth
        detail = f"{data.target.names[most]} everywhere, the most frequent class of the training pixels"
        return _result(data, "constant", detail, matrix)
    assert isinstance(tally, NumberTally)
    sums = np.zeros((len(tally.mean), len(scores.SUMS)))
    for _, truth in pixel_blocks(data, "test"):
        sums += scores.regression_sums(truth, np.broadcast_to(tally.mean, truth.shape))
    return _result(data, "constant", f"the mean of the training pixels everywhere: {_values(data, tally.mean)}", sums)


def logistic(data: LabelledSamples, max_pixels: int) -> dict[str, Any]:
    """Return the scores of logistic regression (C = 1) on a pixel's selected bands, standardised."""
    # Imported where it is used: it takes a second, and most actions need no baseline.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values, classes = pixels(data, "train", max_pixels)
    if len(np.unique(classes)) < 2:
        raise UserError(
            f"All labelled training pixels are {data.target.names[classes[0]]!r}, so the baseline logistic has "
            "nothing to tell apart. Split in another way (data.split, data.seed), or set data.baselines=[]."
        )
    # In float64 and to this tolerance the result does not depend on the number of threads.
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000, tol=1e-6))
    model.fit(values.astype(np.float64), classes)
    matrix = np.zeros((data.num_classes, data.num_classes), dtype=np.int64)
    for block, truth in pixel_blocks(data, "test"):
        if len(truth):
            matrix += scores.confusion_matrix(truth, model.predict(block.astype(np.float64)), data.num_classes)
    detail = f"per-pixel logistic regression on {len(data.bands)} bands, fitted to {len(classes)} training pixels"
    return _result(data, "logistic", detail, matrix)


def linear(data: LabelledSamples, max_pixels: int) -> dict[str, Any]:
    """Return the scores of linear regression on a pixel's selected bands, each variable by itself."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values, numbers = pixels(data, "train", max_pixels)
    models = []
    for column in numbers.T:
        there = ~np.isnan(column)
        # So small a penalty changes no score; without it, bands that are sums of others have no solution.
        model = make_pipeline(StandardScaler(), Ridge(alpha=1.0, solver="cholesky"))
        models.append(model.fit(values[there].astype(np.float64), column[there].astype(np.float64)))
    sums = np.zeros((len(models), len(scores.SUMS)))
    for block, truth in pixel_blocks(data, "test"):
        if len(truth):
            predicted = [model.predict(block.astype(np.float64)) for model in models]
            sums += scores.regression_sums(truth, np.stack(predicted, axis=1))
    detail = f"per-pixel linear regression on {len(data.bands)} bands, fitted to {len(values)} training pixels"
    return _result(data, "linear", detail, sums)


def _result(data: LabelledSamples, name: str, detail: str, counted: np.ndarray) -> dict[str, Any]:
    return {"name": name, "detail": detail, "metrics": scores.SCORES[data.target.kind](counted, data.target.names)}


def _values(data: LabelledSamples, values: list[float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(data.target.names, values, strict=True))
