"""What a model makes of single tiles: image, label, prediction and where the two differ, side by side."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from geocompose.figures.palette import RGB
from geocompose.figures.style import canvas, caption, caption_in, class_legend, hatch, ignored_legend, paint, unit

_COLUMNS = ("Image", "Label", "Prediction", "Difference")
_WRONG: RGB = (170, 0, 60)
_CELL_IN = 1.9


class Sample(TypedDict):
    """One tile: `image` (3, H, W) in 0 ... 1, `label` and `prediction` (H, W) class indices, and a `title`.

    nodata: (H, W), True where the image holds no data.
    """

    image: np.ndarray
    nodata: NotRequired[np.ndarray]
    label: np.ndarray
    prediction: np.ndarray
    title: str


def sample_predictions(
    samples: Sequence[Sample], class_names: Sequence[str], ignore_index: int, path: str | Path, how: str = ""
) -> None:
    """Write a picture with one row per sample; beside each is the share of its labelled pixels that is right.

    Pixels whose label is `ignore_index` are hatched in the label and in the difference, pixels without data in the
    image. how: which bands the images show, and how stretched; it stands below them.
    """
    assert samples, "no sample to draw"
    aspects = [sample["label"].shape[0] / sample["label"].shape[1] for sample in samples]
    entries = [*class_legend(class_names), Patch(facecolor=unit(_WRONG), label="differs from the label")]
    if any((sample["label"] == ignore_index).any() for sample in samples):
        entries.append(ignored_legend("no label"))
    if any(sample["nodata"].any() for sample in samples if "nodata" in sample):
        entries.append(ignored_legend("no data (image)"))
    num_columns = _legend_columns([str(entry.get_label()) for entry in entries])
    legend_in = 0.3 + 0.18 * (math.ceil(len(entries) / num_columns) - 1)
    height_in = sum(_CELL_IN * aspect + 0.06 for aspect in aspects) + 0.25 + legend_in + caption_in(how)
    with canvas(path, 4 * _CELL_IN + 0.7, height_in) as figure:
        grid = figure.subplots(len(samples), 4, squeeze=False, gridspec_kw={"height_ratios": aspects})
        for title, axes in zip(_COLUMNS, grid[0], strict=True):
            axes.set_title(title)
        for sample, row in zip(samples, grid, strict=True):
            _draw(sample, row, class_names, ignore_index)
        caption(grid[-1][0], how)
        figure.legend(handles=entries, loc="outside lower center", ncols=num_columns)


def _legend_columns(labels: Sequence[str]) -> int:
    """Return how many legend entries fit side by side: about 120 letters do, and a patch is as wide as six."""
    if sum(len(label) + 6 for label in labels) <= 120:
        return len(labels)
    return max(1, 120 // (max(map(len, labels)) + 6))


def _draw(sample: Sample, row: Sequence[Axes], class_names: Sequence[str], ignore_index: int) -> None:
    image, label, prediction = sample["image"], sample["label"], sample["prediction"]
    ignored = label == ignore_index
    wrong = (label != prediction) & ~ignored
    picture = np.clip(np.moveaxis(image, 0, -1), 0, 1)
    row[0].imshow(picture, interpolation="nearest")
    row[1].imshow(paint(np.where(ignored, -1, label), class_names), interpolation="nearest")
    row[2].imshow(paint(prediction, class_names), interpolation="nearest")
    row[3].imshow(_difference(picture, wrong), interpolation="nearest")
    if "nodata" in sample:
        hatch(row[0], sample["nodata"])
    hatch(row[1], ignored)
    hatch(row[3], ignored)
    for axes in row:
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    num_labelled = int((~ignored).sum())
    right = f"{100 * (1 - wrong.sum() / num_labelled):.1f} % right" if num_labelled else "no label"
    row[0].set_ylabel(f"{sample['title']}\n{right}", fontsize=8)


def _difference(picture: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Return the image in faint grey with the wrong pixels in one strong colour, (H, W, 3)."""
    faint = 0.62 + 0.38 * picture.mean(axis=-1, keepdims=True)
    return np.where(wrong[..., None], unit(_WRONG), np.repeat(faint, 3, axis=-1))
