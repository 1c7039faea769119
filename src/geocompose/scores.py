"""Segmentation and classification scores of one confusion matrix, defined once for networks and baselines."""

from collections.abc import Sequence

import numpy as np


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the (classes, classes) int64 counts of true class (row) against predicted class (column).

    truth, prediction: integer arrays of one shape with values 0 to num_classes - 1; ignored pixels are left out before.
    """
    assert truth.shape == prediction.shape, (truth.shape, prediction.shape)
    pairs = truth.astype(np.int64).ravel() * num_classes + prediction.astype(np.int64).ravel()
    counts = np.bincount(pairs, minlength=num_classes**2)
    assert counts.size == num_classes**2, "a class index lies outside 0 .. num_classes - 1"
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def from_confusion(matrix: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """Return the scores of a confusion matrix, each between 0 and 1, and the number of classes present.

    matrix: (classes, classes) counts, rows are the truth, columns the prediction.

    `IoU_<class>`, `F1_<class>`: NaN for a class that is absent, that is, has no pixel in the truth. `mIoU`, `F1_macro`,
    `accuracy_macro` (mean recall): means over the classes present. `accuracy_micro`: share of all pixels that are
    right. Without any pixel all of these are NaN and `classes_present` is 0.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    assert counts.shape == (len(class_names), len(class_names)), (counts.shape, len(class_names))
    right, truth, predicted = np.diag(counts), counts.sum(1), counts.sum(0)
    present = truth > 0
    # A present class has at least one true pixel, so that none of its denominators is 0.
    iou, f1, recall = (np.full(len(class_names), np.nan) for _ in range(3))
    iou[present] = right[present] / (truth + predicted - right)[present]
    f1[present] = 2 * right[present] / (truth + predicted)[present]
    recall[present] = right[present] / truth[present]

    def mean(values: np.ndarray) -> float:
        return float(values[present].mean()) if present.any() else float("nan")

    scores = {
        "mIoU": mean(iou),
        "F1_macro": mean(f1),
        "accuracy_micro": float(right.sum() / counts.sum()) if present.any() else float("nan"),
        "accuracy_macro": mean(recall),
        "classes_present": float(present.sum()),
    }
    for i, name in enumerate(class_names):
        scores[f"IoU_{name}"] = float(iou[i])
        scores[f"F1_{name}"] = float(f1[i])
    return scores
