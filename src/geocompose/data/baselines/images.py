"""Baselines of data where images have labels: what band means and deviations know, and what the labels alone say."""

from typing import Any

import numpy as np

from geocompose import scores
from geocompose.data.baselines.raw_values import image_features
from geocompose.data.baselines.samples import LabelledSamples
from geocompose.data.labels.tally import ClassTally, MultilabelTally, NumberTally


def constant(data: LabelledSamples, max_pixels: int) -> dict[str, Any]:
    """Return the scores of one prediction for all images, the best that the training labels alone give."""
    tally = data.statistics.labels["train"]
    _, truth = image_features(data, "test")
    if isinstance(tally, ClassTally):
        most = int(tally.counts.argmax())
        detail = f"{data.target.names[most]} always, the most frequent class of the training images"
        return _result(data, "constant", detail, truth, np.full(len(truth), most))
    if isinstance(tally, MultilabelTally):
        usual = (2 * tally.counts > tally.known).astype(np.int64)
        names = [name for name, has in zip(data.target.names, usual, strict=True) if has]
        detail = f"always the classes that most training images have: {', '.join(names) or 'none'}"
        return _result(data, "constant", detail, truth, np.broadcast_to(usual, truth.shape))
    assert isinstance(tally, NumberTally)
    values = ", ".join(f"{name} {mean:.4g}" for name, mean in zip(data.target.names, tally.mean, strict=True))
    detail = f"always the mean of the training images: {values}"
    return _result(data, "constant", detail, truth, np.broadcast_to(tally.mean, truth.shape))


def logistic(data: LabelledSamples, max_pixels: int) -> dict[str, Any]:
    """Return the scores of logistic regression (C = 1) on each image's band means and deviations, standardised."""
    features, classes = image_features(data, "train")
    test_features, truth = image_features(data, "test")
    columns = classes[:, None] if classes.ndim == 1 else classes
    predicted = np.stack([_classified(features, column, test_features) for column in columns.T], axis=1)
    detail = f"logistic regression on band means and deviations of {len(features)} training images"
    return _result(data, "logistic", detail, truth, predicted.reshape(truth.shape))


def linear(data: LabelledSamples, max_pixels: int) -> dict[str, Any]:
    """Return the scores of ridge regression (alpha = 1) on each image's band means and deviations, standardised."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, numbers = image_features(data, "train")
    test_features, truth = image_features(data, "test")
    predicted = []
    for column in numbers.T.astype(np.float64):
        known = ~np.isnan(column)
        # There may be fewer images than features: the penalty is what logistic regression with C = 1 has.
        model = make_pipeline(StandardScaler(), Ridge(alpha=1.0, solver="cholesky"))
        predicted.append(model.fit(features[known], column[known]).predict(test_features))
    detail = f"ridge regression on band means and deviations of {len(features)} training images"
    return _result(data, "linear", detail, truth, np.stack(predicted, axis=1))


def _classified(features: np.ndarray, classes: np.ndarray, test_features: np.ndarray) -> np.ndarray:
    """Return the predicted class of each test image.

    Without a choice that is the only class that training images have, or 0 where none is known.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = classes >= 0
    there = np.unique(classes[known])
    if len(there) < 2:
        return np.full(len(test_features), there[0] if len(there) else 0, dtype=np.int64)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000, tol=1e-6))
    return model.fit(features[known], classes[known]).predict(test_features).astype(np.int64)


def _result(data: LabelledSamples, name: str, detail: str, truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    if data.target.kind == "classification":
        known = truth >= 0
        counted = scores.confusion_matrix(truth[known], predicted[known], data.num_classes)
    elif data.target.kind == "multilabel":
        counted = scores.multilabel_counts(truth, predicted)
    else:
        counted = scores.regression_sums(truth, predicted)
    return {"name": name, "detail": detail, "metrics": scores.SCORES[data.target.kind](counted, data.target.names)}
