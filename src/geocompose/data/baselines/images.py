"""Baselines of data where images have labels: what band means and deviations know, and what the labels alone say."""

from collections.abc import Callable

import numpy as np

from geocompose.data.baselines import boosting
from geocompose.data.baselines.counted import Counted, count_images
from geocompose.data.baselines.raw_values import image_features, image_samples
from geocompose.data.baselines.regression import logistic_regression
from geocompose.data.baselines.samples import LabelledSamples
from geocompose.data.labels.tally import ClassTally, MultilabelTally, NumberTally


def constant(data: LabelledSamples, max_pixels: int) -> Counted:
    """Count one prediction for all images, the best that the training labels alone give."""
    tally = data.statistics.labels["train"]
    places, _, truth = image_samples(data, "test")
    if isinstance(tally, ClassTally):
        most = int(tally.counts.argmax())
        detail = f"{data.target.names[most]} always, the most frequent class of the training images"
        return Counted("constant", detail, count_images(data, places, truth, np.full(len(truth), most)))
    if isinstance(tally, MultilabelTally):
        usual = (2 * tally.counts > tally.known).astype(np.int64)
        names = [name for name, has in zip(data.target.names, usual, strict=True) if has]
        detail = f"always the classes that most training images have: {', '.join(names) or 'none'}"
        return Counted("constant", detail, count_images(data, places, truth, np.broadcast_to(usual, truth.shape)))
    assert isinstance(tally, NumberTally)
    values = ", ".join(f"{name} {mean:.4g}" for name, mean in zip(data.target.names, tally.mean, strict=True))
    detail = f"always the mean of the training images: {values}"
    return Counted("constant", detail, count_images(data, places, truth, np.broadcast_to(tally.mean, truth.shape)))


def logistic(data: LabelledSamples, max_pixels: int) -> Counted:
    """Count logistic regression (C = 1) on each image's band means and deviations, standardised."""
    return _of_classes(data, "logistic", "logistic regression", _logistic)


def linear(data: LabelledSamples, max_pixels: int) -> Counted:
    """Count ridge regression (alpha = 1) on each image's band means and deviations, standardised."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, numbers = image_features(data, "train")
    places, test_features, truth = image_samples(data, "test")
    predicted = []
    for column in numbers.T.astype(np.float64):
        known = ~np.isnan(column)
        # There may be fewer images than features: the penalty is what logistic regression with C = 1 has.
        model = make_pipeline(StandardScaler(), Ridge(alpha=1.0, solver="cholesky"))
        predicted.append(model.fit(features[known], column[known]).predict(test_features))
    detail = f"ridge regression on band means and deviations of {len(features)} training images"
    return Counted("linear", detail, count_images(data, places, truth, np.stack(predicted, axis=1)))


def gradient_boosting(data: LabelledSamples, max_pixels: int) -> Counted:
    """Count gradient boosting on each image's band means and deviations."""
    if data.target.of_classes:
        return _of_classes(data, "gradient_boosting", "gradient boosting", _boosted)
    features, numbers = image_features(data, "train")
    places, test_features, truth = image_samples(data, "test")
    predicted = boosting.boosted_numbers(features, numbers).predict(test_features)
    detail = f"gradient boosting on band means and deviations of {len(features)} training images"
    return Counted("gradient_boosting", detail, count_images(data, places, truth, predicted))


def _of_classes(
    data: LabelledSamples, name: str, what: str, predict: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> Counted:
    """Count a classifier; where images have any of the classes, one for and against each."""
    features, classes = image_features(data, "train")
    places, test_features, truth = image_samples(data, "test")
    columns = classes[:, None] if classes.ndim == 1 else classes
    predicted = np.stack([_classified(predict, features, column, test_features) for column in columns.T], axis=1)
    detail = f"{what} on band means and deviations of {len(features)} training images"
    return Counted(name, detail, count_images(data, places, truth, predicted.reshape(truth.shape)))


def _classified(
    predict: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    features: np.ndarray,
    classes: np.ndarray,
    test_features: np.ndarray,
) -> np.ndarray:
    """Return the predicted class of each test image.

    Without a choice that is the only class that training images have, or 0 where none is known.
    """
    known = classes >= 0
    there = np.unique(classes[known])
    if len(there) < 2:
        return np.full(len(test_features), there[0] if len(there) else 0, dtype=np.int64)
    return predict(features[known], classes[known], test_features).astype(np.int64)


def _logistic(features: np.ndarray, classes: np.ndarray, test_features: np.ndarray) -> np.ndarray:
    return logistic_regression().fit(features, classes).predict(test_features)


def _boosted(features: np.ndarray, classes: np.ndarray, test_features: np.ndarray) -> np.ndarray:
    return boosting.boosted_classes(features, classes).predict(test_features)
