"""How well numbers are predicted: prediction against truth, with the line on which both are equal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from geocompose.figures.style import GREY, INK, canvas, unit

_POINT = (0, 114, 178)
# Up to so many, points are told apart; beyond, squares of the plane are coloured by how many lie in them.
_POINTS_UP_TO = 3000
_BINS = 70
_A_ROW = 3


def predicted_against_true(
    truth: np.ndarray,
    prediction: np.ndarray,
    variable_names: Sequence[str],
    path: str | Path,
    *,
    title: str,
    scores: Sequence[Mapping[str, float]],
    what: str,
    units: Sequence[str] | None = None,
) -> None:
    """Write a picture with one panel per variable; both axes show the same range, in the variable's unit.

    truth, prediction: (n, variables); a place whose truth is NaN is left out.
    scores: for each variable RMSE and R2 of the whole split, which are written into its panel.
    what: what one point is, such as `pixels`. units: of the variables, for the axes.
    """
    assert truth.shape == prediction.shape == (len(truth), len(variable_names)), (truth.shape, prediction.shape)
    columns = min(_A_ROW, len(variable_names))
    rows = -(-len(variable_names) // columns)
    panel_in = 3.4 if len(truth) <= _POINTS_UP_TO else 4.1  # with room for what the colours mean
    with canvas(path, 0.4 + panel_in * columns, 0.3 + 3.4 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid[len(variable_names) :]:
            axes.set_visible(False)
        for place, (axes, name) in enumerate(zip(grid, variable_names, strict=False)):
            known = ~np.isnan(truth[:, place])
            _draw(figure, axes, truth[known, place], prediction[known, place], what)
            axes.set_title(f"{title}: {name}" if place == 0 else name)
            in_unit = "" if units is None else f" ({units[place]})"
            axes.set(xlabel=f"{name}{in_unit}, label", ylabel=f"{name}{in_unit}, prediction")
            of_unit = "" if units is None else f" {units[place]}"
            text = "\n".join(
                f"{key} {_number(scores[place][key])}{of_unit if key == 'RMSE' else ''}"
                for key in ("RMSE", "R2")
                if key in scores[place]
            )
            axes.text(
                0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize=8, color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
            )  # fmt: skip


def _draw(figure: Figure, axes: Axes, truth: np.ndarray, prediction: np.ndarray, what: str) -> None:
    if not len(truth):
        axes.text(0.5, 0.5, "no label", transform=axes.transAxes, ha="center", color=GREY)
        return
    low, high = _range(truth, prediction)
    axes.plot([low, high], [low, high], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=3)
    if len(truth) <= _POINTS_UP_TO:
        # Opacity falls with the number of points, so that a thousand still show where most of them lie.
        faint = max(0.15, min(0.8, 60 / len(truth) ** 0.75))
        axes.scatter(truth, prediction, s=9, color=unit(_POINT), alpha=faint, linewidths=0, zorder=2)
    else:
        edges = np.linspace(low, high, _BINS + 1)
        counts, _, _ = np.histogram2d(truth, np.clip(prediction, low, high), bins=(edges, edges))
        image = axes.pcolormesh(
            edges, edges, np.ma.masked_equal(counts.T, 0), cmap="viridis", norm=LogNorm(1, max(2.0, counts.max()))
        )
        bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=28, pad=0.02)
        bar.set_label(f"{what} of {len(truth):,}", fontsize=8)
        bar.outline.set_visible(False)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")


def _range(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """Return what the axes show: all the truth, and all predictions but a few far-off ones."""
    # One prediction in a thousand may lie outside at each end: a single one must not shrink all others to a dot.
    low = min(truth.min(), np.quantile(prediction, 0.001))
    high = max(truth.max(), np.quantile(prediction, 0.999))
    room = 0.03 * (high - low) or max(1e-6, 0.05 * abs(high))
    return float(low - room), float(high + room)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3g}"
