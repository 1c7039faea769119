"""The expected calibration error by its definition, in numpy, from all decisions at once."""

import numpy as np


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Guo et al. 2017: bins ((m - 1) / 15, m / 15], each by its share of the decisions."""
    error = 0.0
    for m in range(1, 16):
        inside = (confidence > (m - 1) / 15) & (confidence <= m / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def error_of_logits(kind: str, logits: np.ndarray, truth: np.ndarray, ignore_index: int = -1) -> float:
    """Return the error of logits (B, classes, ...) against a task's labels."""
    logits = logits.astype(np.float64)
    if kind == "multilabel":
        p, known = 1 / (1 + np.exp(-logits)), truth >= 0
        return calibration_error(np.maximum(p, 1 - p)[known], ((p >= 0.5) == (truth == 1))[known])
    p, known = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), truth != ignore_index
    return calibration_error(p.max(axis=1)[known], (p.argmax(axis=1) == truth)[known])
