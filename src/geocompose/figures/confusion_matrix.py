"""What a model takes for what: the confusion matrix as shares of each true class, with counts and a score per class."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from geocompose.figures.style import INK, canvas
from geocompose.scores import from_confusion

# Above so many classes, cells show the percentage without the count, and then nothing but their colour.
_COUNTS_UP_TO, _NUMBERS_UP_TO = 9, 24


def confusion(
    matrix: np.ndarray,
    class_names: Sequence[str],
    path: str | Path,
    title: str,
    *,
    score: Literal["IoU", "F1"] = "IoU",
    what: str = "pixels",
) -> None:
    """Write a picture of the confusion `matrix` (C, C), integers, rows truth and columns prediction.

    A cell shows which share of its row's labelled pixels was predicted as its column, and how many they are; beside
    each row stands the class's `score`. A class without a labelled pixel has neither.

    what: what is counted, `pixels` or `images`.
    """
    num_classes = len(class_names)
    assert matrix.shape == (num_classes, num_classes), f"{matrix.shape} for {num_classes} classes"
    labelled = matrix.sum(axis=1)
    shares = 100 * matrix / np.maximum(labelled, 1)[:, None]
    # All cells together are 7 inches wide at most, a page's width; each is large enough for its text or colour.
    cell_in = max(0.24, min(0.85, 7.0 / num_classes))
    longest = max(len(name) for name in class_names)
    side_in = cell_in * num_classes
    with canvas(path, max(3.6, side_in + 1.9 + 0.07 * longest), max(2.6, side_in + 1.1 + 0.04 * longest)) as figure:
        axes = figure.subplots()
        image = axes.imshow(np.where(labelled[:, None] > 0, shares, np.nan), cmap="Blues", vmin=0, vmax=100)
        axes.set_facecolor("#f0f0f0")
        axes.grid(visible=False)
        ticks = range(num_classes)
        turned = num_classes * longest > 40
        axes.set_xticks(ticks, class_names, rotation=45 if turned else 0, ha="right" if turned else "center")
        axes.set_yticks(ticks, class_names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(xlabel="predicted class", ylabel="true class")
        axes.set_title(title, pad=18)
        if num_classes <= _COUNTS_UP_TO:
            _write_cells(axes, matrix, shares, with_counts=True)
        elif num_classes <= _NUMBERS_UP_TO:
            axes.set_ylabel(f"true class (cells: % of its {what})")
            _write_cells(axes, matrix, shares, with_counts=False)
        else:
            bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30)
            bar.set_label(f"% of the true class's {what}")
            bar.outline.set_visible(False)
        right = num_classes - 0.38
        size = 8 if num_classes <= _NUMBERS_UP_TO else 5
        axes.text(right, -0.6, score, fontsize=size, fontweight="bold", va="bottom")
        for row, text in enumerate(_scores(matrix, score)):
            axes.text(right, row, text, fontsize=size, va="center")


def _write_cells(axes: Axes, matrix: np.ndarray, shares: np.ndarray, *, with_counts: bool) -> None:
    for row, col in np.ndindex(*matrix.shape):
        if matrix[row].sum() == 0:
            continue
        share = shares[row, col]
        look: dict[str, Any] = {"ha": "center", "va": "center", "color": "white" if share > 55 else INK}
        if with_counts:
            axes.text(col, row - 0.1, f"{share:.1f} %", fontsize=9, **look)
            axes.text(col, row + 0.18, f"{matrix[row, col]:,}", fontsize=6.5, **look)
        else:
            axes.text(col, row, f"{share:.1f}", fontsize=8, **look)


def _scores(matrix: np.ndarray, score: Literal["IoU", "F1"]) -> list[str]:
    """Return each class's score as text; a class without a labelled pixel has none."""
    names = [str(place) for place in range(len(matrix))]
    known = from_confusion(matrix, names)
    values = [known[f"{score}_{name}"] for name in names]
    return ["no label" if math.isnan(value) else f"{value:.3f}" for value in values]
