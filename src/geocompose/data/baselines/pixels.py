"""Baselines of data where pixels have labels: what a pixel's own values tell, and the labels alone."""

import numpy as np

from geocompose.data.baselines import boosting
from geocompose.data.baselines.counted import Counted, count_pixels
from geocompose.data.baselines.raw_values import pixels
from geocompose.data.baselines.regression import logistic_regression
from geocompose.data.baselines.samples import LabelledSamples
from geocompose.data.labels.tally import ClassTally, NumberTally
from geocompose.errors import UserError, counted


def constant(data: LabelledSamples, max_pixels: int) -> Counted:
    """Count the most frequent training class, or the training labels' means, at every pixel."""
    tally = data.statistics.labels["train"]
    if isinstance(tally, ClassTally):
        most = int(tally.counts.argmax())
        detail = f"{data.target.names[most]} everywhere, the most frequent class of the training pixels"
        return Counted("constant", detail, count_pixels(data, lambda values: np.full(len(values), most)))
    assert isinstance(tally, NumberTally)
    mean = np.array(tally.mean)
    detail = f"the mean of the training pixels everywhere: {_values(data, tally.mean)}"
    return Counted("constant", detail, count_pixels(data, lambda values: np.tile(mean, (len(values), 1))))


def logistic(data: LabelledSamples, max_pixels: int) -> Counted:
    """Count logistic regression (C = 1) on a pixel's selected bands, standardised."""
    values, classes = pixels(data, "train", max_pixels)
    _check_several(data, classes, "logistic")
    model = logistic_regression().fit(values.astype(np.float64), classes)
    detail = (
        f"per-pixel logistic regression on {counted(len(data.bands), 'band')}, fitted to {len(classes)} training pixels"
    )
    return Counted("logistic", detail, count_pixels(data, lambda block: model.predict(block.astype(np.float64))))


def linear(data: LabelledSamples, max_pixels: int) -> Counted:
    """Count linear regression on a pixel's selected bands, each variable by itself."""
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

    def predict(block: np.ndarray) -> np.ndarray:
        return np.stack([model.predict(block.astype(np.float64)) for model in models], axis=1)

    detail = (
        f"per-pixel linear regression on {counted(len(data.bands), 'band')}, fitted to {len(values)} training pixels"
    )
    return Counted("linear", detail, count_pixels(data, predict))


def gradient_boosting(data: LabelledSamples, max_pixels: int) -> Counted:
    """Count gradient boosting on a pixel's selected bands."""
    values, labels = pixels(data, "train", min(max_pixels, boosting.MAX_PIXELS))
    if data.target.of_classes:
        _check_several(data, labels, "gradient_boosting")
    fit = boosting.boosted_classes if data.target.of_classes else boosting.boosted_numbers
    detail = (
        f"per-pixel gradient boosting on {counted(len(data.bands), 'band')}, fitted to {len(labels)} training pixels"
    )
    return Counted("gradient_boosting", detail, count_pixels(data, fit(values, labels).predict))


def _check_several(data: LabelledSamples, classes: np.ndarray, name: str) -> None:
    if len(np.unique(classes)) < 2:
        raise UserError(
            f"All labelled training pixels are {data.target.names[classes[0]]!r}, so the baseline {name} has "
            "nothing to tell apart. Split in another way (data.split, data.seed), or set data.baselines=[]."
        )


def _values(data: LabelledSamples, values: list[float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in zip(data.target.names, values, strict=True))
