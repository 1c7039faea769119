"""How a training went: losses, and the scores by which its best epoch was chosen."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from geocompose.figures.palette import RGB
from geocompose.figures.style import GREY, canvas, unit

_TRAIN: RGB = (136, 136, 136)
_VALIDATION: RGB = (0, 114, 178)
# Scores between 0 and 1 that can share an axis, with what to call them, in the order in which they are drawn.
_SHARES: dict[str, tuple[str, RGB]] = {
    "val/mIoU": ("mIoU", (0, 114, 178)),
    "val/F1_macro": ("F1, macro", (213, 94, 0)),
    "val/F1_micro": ("F1, micro", (230, 159, 0)),
    "val/accuracy_macro": ("accuracy, macro", (0, 158, 115)),
    "val/accuracy_micro": ("accuracy, micro", (204, 121, 167)),
}
_MARKED_UP_TO = 40


def learning_curves(
    rows: Sequence[Mapping[str, float | None]], path: str | Path, *, best_epoch: int | None, selection: str
) -> None:
    """Write a picture of the losses and of the validation's scores over the epochs, the best epoch marked.

    Epochs are shown from 1, as the terminal counts them.

    rows: one mapping per epoch, with `epoch`, `train/loss`, `val/loss`, and scores such as `val/mIoU`; a value may be
        missing or None where nothing was measured.
    best_epoch: the epoch whose weights were kept, counted as in `rows`; None marks nothing.
    selection: name of the score that chose it; other scores are drawn where they share its scale.
    """
    epochs = [float(epoch) + 1 for row in rows if (epoch := row.get("epoch")) is not None]
    best = None if best_epoch is None else best_epoch + 1
    assert epochs, "learning curves need rows with an epoch"
    first, last = min(epochs), max(epochs)
    with canvas(path, 8.0, 3.4) as figure:
        losses, scores = figure.subplots(1, 2)
        _draw(losses, rows, "train/loss", "training", _TRAIN)
        _draw(losses, rows, "val/loss", "validation", _VALIDATION)
        losses.set(title="Loss", ylabel="loss")
        shown = _SHARES if selection in _SHARES else {selection: (selection.removeprefix("val/"), _VALIDATION)}
        for name, (label, colour) in shown.items():
            _draw(scores, rows, name, label, colour, thin=name != selection)
        is_share = selection in _SHARES
        scores.set(title="Validation scores", ylabel="score (0 to 1)" if is_share else shown[selection][0])
        # The same for both, and wide enough for a single epoch.
        room = max(0.5, 0.02 * (last - first))
        for axes in (losses, scores):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.set_xlim(first - room, last + room)
            if best is not None:
                axes.axvline(best, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        if best is not None:
            _mark_best(scores, rows, best, selection, shown[selection])
        for axes in (losses, scores):
            if axes.get_legend_handles_labels()[0]:
                # Below, where it covers no point, however few epochs there are.
                axes.legend(
                    loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=4, columnspacing=1.0, handlelength=1.3
                )


def _series(rows: Sequence[Mapping[str, float | None]], name: str) -> tuple[list[float], list[float]]:
    """Return the epochs, from 1, in which `name` was measured, and its values there."""
    measured = [(row["epoch"], row.get(name)) for row in rows if row.get("epoch") is not None]
    known = [(float(e), float(v)) for e, v in measured if e is not None and v is not None and np.isfinite(v)]
    return [epoch + 1 for epoch, _ in known], [value for _, value in known]


def _draw(
    axes: Axes,
    rows: Sequence[Mapping[str, float | None]],
    name: str,
    label: str,
    colour: RGB,
    *,
    thin: bool = False,
) -> None:
    epochs, values = _series(rows, name)
    if epochs:
        marker = "o" if len(epochs) <= _MARKED_UP_TO else ""
        axes.plot(
            epochs, values, label=label, color=unit(colour), marker=marker, markersize=3, linewidth=1.0 if thin else 1.8
        )


def _mark_best(
    axes: Axes,
    rows: Sequence[Mapping[str, float | None]],
    best: int,
    selection: str,
    look: tuple[str, RGB],
) -> None:
    label, colour = look
    for epoch, value in zip(*_series(rows, selection), strict=True):
        if epoch == best:
            axes.plot(
                [epoch],
                [value],
                marker="o",
                markersize=8,
                markerfacecolor="none",
                markeredgecolor=unit(colour),
                markeredgewidth=1.5,
                linestyle="none",
            )
            axes.set_title(f"best {label} {value:.3f}, epoch {best}", loc="right", fontsize=8, fontweight="normal")
