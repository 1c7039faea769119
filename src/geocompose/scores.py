"""Scores from pooled counts and sums, defined once for networks and baselines: of classes and of numbers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from geocompose.imagery.samples import Kind, Target

# What one row of a variable's sums holds: valid pixels or images, and sums over them; e is prediction minus truth y.
SUMS = ("n", "sum_y", "sum_y2", "sum_e", "sum_e2", "sum_abs_e")
# What a bin of confidences holds: decisions, the sum of their confidences, and how many of them are right.
CALIBRATION = ("n", "sum_confidence", "right")
CALIBRATION_BINS = 15  # as in arXiv 1706.04599
THRESHOLD_BINS = 100  # of the probability of the second of two classes
# Names of metrics, without the split before them and the class or variable behind, by which values are the better ones.
_BETTER: Mapping[str, Literal["higher", "lower"]] = {
    **dict.fromkeys(("mIoU", "IoU", "F1", "accuracy", "R2"), "higher"),
    **dict.fromkeys(("RMSE", "nRMSE", "MAE", "ECE", "loss"), "lower"),
}
# A variance below this share of the mean square is what rounding leaves of a constant: float64 has about 16 digits,
# of which sums lose a few.
_CONSTANT = 1e-12


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the (classes, classes) int64 counts of true class (row) against predicted class (column).

    truth, prediction: integer arrays of one shape with values 0 to num_classes - 1; ignored pixels are left out before.
    """
    assert truth.shape == prediction.shape, (truth.shape, prediction.shape)
    # Each pair (truth, prediction) is one number, truth * classes + prediction: one bincount counts all cells.
    pairs = truth.astype(np.int64).ravel() * num_classes + prediction.astype(np.int64).ravel()
    counts = np.bincount(pairs, minlength=num_classes**2)
    assert counts.size == num_classes**2, "a class index lies outside 0 .. num_classes - 1"
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def multilabel_counts(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return the (classes, 2, 2) int64 counts of truth (row: no, yes) against prediction (column: no, yes).

    truth: (images, classes) of 0, 1 and -1 (unknown, counts nowhere). prediction: (images, classes) of 0 and 1.
    """
    assert truth.shape == prediction.shape, (truth.shape, prediction.shape)
    known = truth >= 0
    cells = [[(known & (truth == t) & (prediction == p)).sum(axis=0) for p in (0, 1)] for t in (0, 1)]
    return np.moveaxis(np.array(cells, dtype=np.int64), -1, 0)


def regression_sums(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return the (variables, 6) float64 sums named by SUMS.

    truth: (places, variables), NaN where there is none. prediction: the same shape, in the same unit.
    """
    assert truth.shape == prediction.shape, (truth.shape, prediction.shape)
    truth = truth.astype(np.float64)
    valid = ~np.isnan(truth)
    y = np.where(valid, truth, 0.0)
    error = np.where(valid, prediction.astype(np.float64) - y, 0.0)
    terms = (valid, y, y**2, error, error**2, np.abs(error))
    return np.stack([term.sum(axis=0, dtype=np.float64) for term in terms], axis=-1)


def from_confusion(matrix: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """Return the scores of a confusion matrix of pixels, each between 0 and 1, and the number of classes present.

    matrix: (classes, classes) counts, rows are the truth, columns the prediction.

    `IoU_<class>`, `F1_<class>`: NaN for a class that is absent, that is, has no pixel in the truth. `mIoU`, `F1_macro`,
    `accuracy_macro` (mean recall): means over the classes present. `mIoU_union`: the mean IoU over the classes that are
    in the truth or in the prediction, so that one that is predicted but absent counts 0; this is what torchmetrics,
    TerraTorch and most papers call mIoU. `mIoU_all`: the mean IoU over all classes of the data, so that one that is
    neither in the truth nor in the prediction counts 0 too, as in PANGAEA (arXiv 2412.04204). `accuracy_micro`: share
    of all pixels that are right. Without any pixel all of these are NaN and `classes_present` is 0.
    """
    return _single(_of_confusion, matrix, class_names)


def _of_confusion(matrices: np.ndarray, class_names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the scores of `from_confusion` of many matrices at once: (..., classes, classes) to (...) each."""
    counts = _counts(matrices, len(class_names), len(class_names))
    right, truth, predicted = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1), counts.sum(axis=-2)
    present, seen = truth > 0, truth + predicted > 0
    iou, f1, recall = (_shares(part, whole, present) for part, whole in (
        # IoU = TP / (TP + FP + FN), F1 = 2 TP / (2 TP + FP + FN), recall = TP / (TP + FN); truth = TP + FN.
        (right, truth + predicted - right), (2 * right, truth + predicted), (right, truth),
    ))  # fmt: skip
    iou_seen, any_pixel = _shares(right, truth + predicted - right, seen), present.any(axis=-1)
    scores = {
        "mIoU": _mean(iou),
        "mIoU_union": _mean(iou_seen),
        "mIoU_all": np.where(any_pixel, np.nan_to_num(iou_seen).mean(axis=-1), np.nan),
        "F1_macro": _mean(f1),
        "accuracy_micro": _shares(right.sum(axis=-1), truth.sum(axis=-1), any_pixel),
        "accuracy_macro": _mean(recall),
        "classes_present": present.sum(axis=-1),
    }
    for i, name in enumerate(class_names):
        scores[f"IoU_{name}"] = iou[..., i]
        scores[f"F1_{name}"] = f1[..., i]
    return scores


def image_scores_from_confusion(matrix: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """Return the scores of a confusion matrix of images: those of `from_confusion` but the IoU."""
    return _single(_of_confused_images, matrix, class_names)


def _of_confused_images(matrices: np.ndarray, class_names: Sequence[str]) -> dict[str, np.ndarray]:
    scores = _of_confusion(matrices, class_names)
    return {name: value for name, value in scores.items() if not name.startswith(("mIoU", "IoU_"))}


def multilabel_scores(counts: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """Return the scores, each between 0 and 1, of decisions for and against each class, and the classes present.

    counts: (classes, 2, 2), rows the truth (no, yes), columns the prediction (no, yes).

    `F1_<class>`: NaN for a class that is absent, that is, belongs to no image. `F1_macro`: their mean over the classes
    present. `F1_micro`: F1 of all decisions together, NaN where no class belongs to any image. `accuracy_micro`: share
    of all decisions that are right, NaN without any.
    """
    return _single(_of_labels, counts, class_names)


def _of_labels(counts: np.ndarray, class_names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the scores of `multilabel_scores` of many counts at once: (..., classes, 2, 2) to (...) each."""
    counts = _counts(counts, len(class_names), 2, 2)
    hits, truth, predicted = counts[..., 1, 1], counts[..., 1, :].sum(axis=-1), counts[..., :, 1].sum(axis=-1)
    present = truth > 0
    f1 = _shares(2 * hits, truth + predicted, present)
    every = counts.sum(axis=(-3, -2, -1))
    scores = {
        "F1_macro": _mean(f1),
        "F1_micro": _shares(2 * hits.sum(axis=-1), (truth + predicted).sum(axis=-1), present.any(axis=-1)),
        "accuracy_micro": _shares(hits.sum(axis=-1) + counts[..., 0, 0].sum(axis=-1), every, every > 0),
        "classes_present": present.sum(axis=-1),
    }
    return scores | {f"F1_{name}": f1[..., i] for i, name in enumerate(class_names)}


def regression_scores(sums: np.ndarray, variable_names: Sequence[str]) -> dict[str, float]:
    """Return RMSE and MAE, in the labels' physical unit, and R2 of pooled sums.

    sums: (variables, 6) of SUMS, over all valid pixels or images.

    One variable has `RMSE`, `MAE`, `R2`; several have `RMSE_<variable>` and so on, and without a variable's name their
    means over the variables for which they are defined. Without any valid pixel all are NaN; R2 (one minus the squared
    errors' share of the truth's squared deviations from its mean) is NaN too where the truth is constant.
    """
    return _single(_of_sums, sums, variable_names)


def _of_sums(sums: np.ndarray, variable_names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the scores of `regression_scores` of many sums at once: (..., variables, 6) to (...) each."""
    sums = _counts(sums, len(variable_names), len(SUMS))
    n, sum_y, sum_y2, _, sum_e2, sum_abs_e = np.moveaxis(sums, -1, 0)
    measured = n > 0
    # sum (y - mean)^2 = sum y^2 - (sum y)^2 / n. What rounding leaves of a constant is below _CONSTANT * sum y^2.
    spread = sum_y2 - sum_y**2 / np.where(measured, n, 1)
    varies = measured & (spread > _CONSTANT * sum_y2)
    values = {
        "RMSE": np.sqrt(_shares(sum_e2, n, measured)),
        "MAE": _shares(sum_abs_e, n, measured),
        "R2": 1 - _shares(sum_e2, spread, varies),
    }
    scores = {name: _mean(value) for name, value in values.items()}
    if len(variable_names) > 1:
        for name, value in values.items():
            scores |= {f"{name}_{variable}": value[..., i] for i, variable in enumerate(variable_names)}
    return scores


def calibration_error(bins: np.ndarray) -> float:
    """Return the expected calibration error, between 0 and 1; NaN without any decision.

    bins: (15, 3) of CALIBRATION, over all labelled pixels or images. A decision's confidence is the largest of its
    class probabilities (of a multilabel task, where each class of each image is a decision: the probability of the
    answer given); bin m of 15 holds the confidences above (m - 1) / 15 up to m / 15.

    ECE = sum over bins of n / N * |share right - mean confidence|. Source: arXiv 1706.04599, equation 5.
    """
    bins = np.asarray(bins, dtype=np.float64)
    assert bins.shape == (CALIBRATION_BINS, len(CALIBRATION)), bins.shape
    number, confidence, right = bins.T
    total = number.sum()
    return float(np.abs(right - confidence).sum() / total) if total else float("nan")


# The scores of each kind of task from what it counts: a matrix of classes, 2 x 2 counts per class, sums per variable.
SCORES: Mapping[Kind, Callable[[np.ndarray, Sequence[str]], dict[str, float]]] = {
    "segmentation": from_confusion,
    "regression": regression_scores,
    "classification": image_scores_from_confusion,
    "multilabel": multilabel_scores,
    "scalar_regression": regression_scores,
    "reconstruction": regression_scores,
}
# The same of many counts at once: (..., as of one) to (...) of each score.
MANY_SCORES: Mapping[Kind, Callable[[np.ndarray, Sequence[str]], dict[str, np.ndarray]]] = {
    "segmentation": _of_confusion,
    "regression": _of_sums,
    "classification": _of_confused_images,
    "multilabel": _of_labels,
    "scalar_regression": _of_sums,
    "reconstruction": _of_sums,
}


def scores_of(counts: np.ndarray, target: Target) -> dict[str, float]:
    """Return the scores of a split from its pooled counts or sums (see SCORES), and of several variables `nRMSE`.

    `nRMSE`: the mean over the variables of each one's RMSE in standard deviations of its training labels, so that none
    counts more for its unit. A variable without a label, or whose training labels do not vary, is left out.
    """
    scores = SCORES[target.kind](counts, target.names)
    if has_normalized_error(target):
        assert target.deviation is not None
        of_variable = np.array([scores[f"RMSE_{name}"] for name in target.names])
        deviation = np.array(target.deviation)
        scores["nRMSE"] = float(_mean(_shares(of_variable, deviation, deviation > 0)))
    return scores


def has_normalized_error(target: Target) -> bool:
    """Return whether a target has an `nRMSE`: several variables, of which at least one varies in training."""
    return target.num_outputs > 1 and target.deviation is not None and max(target.deviation) > 0


def _single(
    of_many: Callable[[np.ndarray, Sequence[str]], dict[str, np.ndarray]], counts: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
    """Return the scores of the counts of one split."""
    scores = of_many(counts, names)
    assert all(np.ndim(value) == 0 for value in scores.values()), np.shape(counts)
    return {name: float(value) for name, value in scores.items()}


def _counts(counts: np.ndarray, *inner: int) -> np.ndarray:
    """Return counts or sums (..., *inner) as float64."""
    counts = np.asarray(counts, dtype=np.float64)
    assert counts.shape[-len(inner) :] == inner, (counts.shape, inner)
    return counts


def _shares(part: np.ndarray, whole: np.ndarray, defined: np.ndarray) -> np.ndarray:
    """Return part / whole where it is defined, NaN elsewhere."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=defined)


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis of the values that are numbers, NaN where there are none."""
    known = ~np.isnan(values)
    number = known.sum(axis=-1)
    return _shares(np.where(known, values, 0.0).sum(axis=-1), number, number > 0)


def better(metric: str) -> Literal["higher", "lower"] | None:
    """Return which values of a metric are the better ones; None of a count, or of a metric that is not ours.

    metric: its name as records have it, such as `val/mIoU`, `test/scene_IoU_water` or `RMSE_biomass`.
    """
    return _BETTER.get(stem(metric))


def stem(metric: str) -> str:
    """Return what a metric is a kind of: `IoU` of `test/scene_IoU_water`, `RMSE` of `val/RMSE_biomass`."""
    head, _, rest = metric.partition("/")
    name = rest if head in ("train", "val", "test") else metric
    return name.removeprefix("scene_").partition("_")[0]
