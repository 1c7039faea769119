"""Twenty count matrices, written by hand, against their definitions in plain loops: what a report's numbers rest on."""

import math

import numpy as np
import pytest

from geocompose.scores import from_confusion
from geocompose.statistics.intervals import estimate
from geocompose.statistics.pooled import Score

MATRICES = [
    [[50, 10], [20, 20]],
    [[1, 0], [0, 1]],
    [[0, 1], [1, 0]],
    [[100, 0], [100, 0]],
    [[0, 100], [0, 100]],
    [[90, 10], [0, 0]],  # a class that is predicted and absent
    [[100, 0], [0, 0]],  # one that is neither
    [[0, 0], [7, 3]],
    [[10**12, 5], [7, 3]],
    [[1, 1], [1, 10**9]],
    [[5, 0, 0], [0, 5, 0], [0, 0, 5]],
    [[5, 1, 0], [2, 8, 3], [0, 0, 1]],
    [[5, 1, 4], [2, 8, 3], [0, 0, 0]],
    [[0, 0, 0], [0, 8, 0], [0, 0, 2]],
    [[0, 3, 0], [0, 8, 0], [0, 2, 0]],
    [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
    [[30, 0, 1, 2], [0, 0, 0, 0], [4, 1, 0, 7], [1, 1, 1, 90]],
    [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]],
    [[8, 1, 1, 0, 0], [0, 9, 0, 0, 1], [2, 0, 4, 4, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]],
    [[3, 0, 0, 0, 0], [0, 3, 0, 0, 0], [0, 0, 3, 0, 0], [0, 0, 0, 3, 0], [12, 0, 0, 0, 0]],
]


def by_definition(matrix):
    """Return the scores of a matrix, rows the truth, from single cells."""
    size = len(matrix)
    truth = [sum(matrix[c]) for c in range(size)]
    said = [sum(matrix[r][c] for r in range(size)) for c in range(size)]
    right = [matrix[c][c] for c in range(size)]
    present = [c for c in range(size) if truth[c]]
    iou = {c: right[c] / (truth[c] + said[c] - right[c]) for c in present}
    seen = [c for c in range(size) if truth[c] + said[c]]
    found = {
        "mIoU": sum(iou.values()) / len(present),
        "mIoU_union": sum(right[c] / (truth[c] + said[c] - right[c]) for c in seen) / len(seen),
        "F1_macro": sum(2 * right[c] / (truth[c] + said[c]) for c in present) / len(present),
        "accuracy_micro": sum(right) / sum(truth),
        "accuracy_macro": sum(right[c] / truth[c] for c in present) / len(present),
        "classes_present": len(present),
    }
    return found | {f"IoU_{c}": iou.get(c, math.nan) for c in range(size)}


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_scores_are_their_definitions(matrix):
    names = [str(c) for c in range(len(matrix))]
    scores = from_confusion(np.array(matrix), names)
    for name, value in by_definition(matrix).items():
        assert scores[name] == pytest.approx(value, rel=1e-12, nan_ok=True), name


def test_a_cells_score_is_that_of_the_pooled_matrix_and_no_mean_over_tiles():
    tiles = np.array([matrix for matrix in MATRICES if len(matrix) == 2])
    score = Score("mIoU", ("0", "1"))
    found = estimate(tiles, list(range(len(tiles))), score).mean
    assert found == pytest.approx(by_definition(tiles.sum(axis=0).tolist())["mIoU"], rel=1e-12)
    assert len(MATRICES) == 20
