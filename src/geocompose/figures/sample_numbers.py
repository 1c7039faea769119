"""What a model makes of single tiles of numbers: image, label, prediction and error, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from geocompose.figures.style import canvas, hatch

_CELL_IN = 1.9
_VALUES, _ERRORS = "viridis", "RdBu_r"


class NumberSample(TypedDict):
    """One tile: `image` (3, H, W) in 0 ... 1, `label` (NaN without one) and `prediction` (H, W), and a `title`."""

    image: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    title: str


def sample_numbers(samples: Sequence[NumberSample], variable: str, path: str | Path) -> None:
    """Write a picture with one row per sample; labels and predictions share a scale, errors one that is white at 0.

    Pixels without a label are hatched in the label and in the error.
    """
    assert samples, "no sample to draw"
    labels = np.concatenate([sample["label"].ravel() for sample in samples])
    errors = np.concatenate([(sample["prediction"] - sample["label"]).ravel() for sample in samples])
    low, high = _range(labels)
    off = max(_range(np.abs(errors))[1], 1e-3 * (high - low))
    looks: list[dict[str, Any]] = [
        {"cmap": _VALUES, "vmin": low, "vmax": high},
        {"cmap": _VALUES, "vmin": low, "vmax": high},
        {"cmap": _ERRORS, "vmin": -off, "vmax": off},
    ]
    aspects = [sample["label"].shape[0] / sample["label"].shape[1] for sample in samples]
    with canvas(path, 4 * _CELL_IN + 0.7, sum(_CELL_IN * aspect + 0.06 for aspect in aspects) + 0.85) as figure:
        grid = figure.subplots(len(samples), 4, squeeze=False, gridspec_kw={"height_ratios": aspects})
        for title, axes in zip(("Image", "Label", "Prediction", "Error"), grid[0], strict=True):
            axes.set_title(title)
        for sample, row in zip(samples, grid, strict=True):
            error = sample["prediction"] - sample["label"]
            row[0].imshow(np.clip(np.moveaxis(sample["image"], 0, -1), 0, 1), interpolation="nearest")
            shown = (sample["label"], sample["prediction"], error)
            drawn = [
                axes.imshow(values, interpolation="nearest", **look)
                for axes, values, look in zip(row[1:], shown, looks, strict=True)
            ]
            hatch(row[1], np.isnan(sample["label"]))
            hatch(row[3], np.isnan(error))
            for axes in row:
                axes.set(xticks=[], yticks=[])
                axes.grid(visible=False)
                axes.spines[:].set_visible(False)
            known = error[~np.isnan(error)]
            rmse = f"RMSE {np.sqrt(np.mean(known**2)):.3g}" if known.size else "no label"
            row[0].set_ylabel(f"{sample['title']}\n{rmse}", fontsize=8)
        for image, axes, label in (
            (drawn[1], grid[:, 1:3], variable),
            (drawn[2], grid[:, 3], "prediction minus label"),
        ):
            bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.85, aspect=36, pad=0.02)
            bar.set_label(label, fontsize=8)
            bar.ax.tick_params(labelsize=7)
            bar.outline.set_visible(False)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return the range of what is known, without a few outliers; from 0 to 1 where nothing is known."""
    known = values[~np.isnan(values)]
    if not known.size:
        return 0.0, 1.0
    # Two in a thousand at each end may be clipped: one outlier would leave all others one colour.
    low, high = np.quantile(known, [0.002, 0.998])
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)
