"""What a model makes of single tiles of numbers: image, label, prediction and error, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, Normalize

from geocompose.figures.style import canvas, caption, caption_in, hatch

_CELL_IN = 1.9
_VALUES, _ERRORS = "viridis", "RdBu_r"
# What lies outside a range has colours that are not in it.
_BELOW_VALUES, _ABOVE_VALUES, _BELOW_ERRORS, _ABOVE_ERRORS = "#151515", "#e7298a", "#4d2c91", "#7f4a00"


class NumberSample(TypedDict):
    """One tile: `image` (3, H, W) in 0 ... 1, `label` (NaN without one) and `prediction` (H, W), and a `title`.

    nodata: (H, W), True where the image holds no data.
    """

    image: np.ndarray
    nodata: NotRequired[np.ndarray]
    label: np.ndarray
    prediction: np.ndarray
    title: str


class _Scale:
    """The colours of one quantity: over a range that leaves out a few far-off values, which have colours of their own.

    low, high: the range. colours: of it; below, above: what lies outside.
    """

    def __init__(self, low: float, high: float, colours: str, below: str, above: str) -> None:
        self.norm = Normalize(low, high)
        self.colours: Colormap = matplotlib.colormaps[colours].with_extremes(under=below, over=above)

    def outside(self, values: np.ndarray) -> tuple[str, str]:
        """Return at which ends matplotlib's colour bar has to be extended for these values, and that in words."""
        known = values[np.isfinite(values)]
        below, above = (known < self.norm.vmin), (known > self.norm.vmax)
        told = [
            f"{_share_of(where.mean())} {side} ({word} {end:.3g})"
            for where, side, word, end in (
                (below, "below", "down to", known.min(initial=np.inf)),
                (above, "above", "up to", known.max(initial=-np.inf)),
            )
            if where.any()
        ]
        extended = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
        return extended[bool(below.any()), bool(above.any())], ", ".join(told)


def sample_numbers(
    samples: Sequence[NumberSample], variable: str, path: str | Path, *, unit: str | None = None, how: str = ""
) -> None:
    """Write a picture with one row per sample; labels and predictions share a scale, errors one that is white at 0.

    The scales go by the labels and by most of the errors; values outside have colours of their own, and the colour bars
    say how many there are and how far they go. Pixels without a label are hatched in the label and in the error, those
    without data in the image.

    unit: of the variable. how: which bands the images show, and how stretched; it stands below them.
    """
    assert samples, "no sample to draw"
    labels, said = (np.concatenate([sample[key].ravel() for sample in samples]) for key in ("label", "prediction"))
    errors = said - labels
    low, high = _range(labels)
    off = max(_range(np.abs(errors))[1], 1e-3 * (high - low))
    values = _Scale(low, high, _VALUES, _BELOW_VALUES, _ABOVE_VALUES)
    differences = _Scale(-off, off, _ERRORS, _BELOW_ERRORS, _ABOVE_ERRORS)
    in_unit = "" if unit is None else f" ({unit})"
    aspects = [sample["label"].shape[0] / sample["label"].shape[1] for sample in samples]
    height_in = sum(_CELL_IN * aspect + 0.06 for aspect in aspects) + 1.15 + caption_in(how)
    with canvas(path, 4 * _CELL_IN + 0.7, height_in) as figure:
        grid = figure.subplots(len(samples), 4, squeeze=False, gridspec_kw={"height_ratios": aspects})
        for title, axes in zip(("Image", "Label", "Prediction", "Error"), grid[0], strict=True):
            axes.set_title(title)
        for sample, row in zip(samples, grid, strict=True):
            error = sample["prediction"] - sample["label"]
            row[0].imshow(np.clip(np.moveaxis(sample["image"], 0, -1), 0, 1), interpolation="nearest")
            shown = ((sample["label"], values), (sample["prediction"], values), (error, differences))
            drawn = [
                axes.imshow(numbers, interpolation="nearest", cmap=scale.colours, norm=scale.norm)
                for axes, (numbers, scale) in zip(row[1:], shown, strict=True)
            ]
            if "nodata" in sample:
                hatch(row[0], sample["nodata"])
            hatch(row[1], np.isnan(sample["label"]))
            hatch(row[3], np.isnan(error))
            for axes in row:
                axes.set(xticks=[], yticks=[])
                axes.grid(visible=False)
                axes.spines[:].set_visible(False)
            known = error[~np.isnan(error)]
            rmse = f"RMSE {np.sqrt(np.mean(known**2)):.3g}{in_unit and f' {unit}'}" if known.size else "no label"
            row[0].set_ylabel(f"{sample['title']}\n{rmse}", fontsize=8)
        caption(grid[-1][0], how + _hatched(samples))
        for image, axes, scale, numbers, label in (
            (drawn[1], grid[:, 1:3], values, np.concatenate([labels, said]), f"{variable}{in_unit}"),
            (drawn[2], grid[:, 3], differences, errors, f"prediction minus label{in_unit}"),
        ):
            extended, outside = scale.outside(numbers)
            bar = figure.colorbar(
                image, ax=axes, location="bottom", shrink=0.85, aspect=36, pad=0.02, extend=extended, extendfrac=0.04
            )
            bar.set_label(f"{label}\n{outside}" if outside else label, fontsize=8)
            bar.ax.tick_params(labelsize=7)
            bar.outline.set_visible(False)


def _hatched(samples: Sequence[NumberSample]) -> str:
    what = [
        *(["no data"] if any(sample["nodata"].any() for sample in samples if "nodata" in sample) else []),
        *(["no label"] if any(np.isnan(sample["label"]).any() for sample in samples) else []),
    ]
    return f"\nhatched: {', '.join(what)}" if what else ""


def _share_of(share: float) -> str:
    """Return a share as `3.1 %`, and as `under 0.1 %` where it is that small."""
    return f"{share:.1%}".replace("%", " %") if share >= 0.001 else "under 0.1 %"


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return the range of what is known, without a few outliers; from 0 to 1 where nothing is known."""
    known = values[~np.isnan(values)]
    if not known.size:
        return 0.0, 1.0
    # Two in a thousand at each end may be left out, where they lie far off: they would leave all others one colour.
    low, high = np.quantile(known, [0.002, 0.998])
    room = 0.1 * (high - low)
    low, high = (end if abs(end - most) <= room else most for end, most in ((known.min(), low), (known.max(), high)))
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)
