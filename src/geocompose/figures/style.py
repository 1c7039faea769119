"""The one look of all figures: fonts, lines and how a figure is made and saved. No display is needed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from geocompose.figures.palette import IGNORED, RGB, class_colours

DPI = 150
INK = "#222222"
GREY = "#777777"
_CAPTION_PT = 7
# Keys are typed as they are because matplotlib lists the allowed ones differently from version to version.
_LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "hatch.linewidth": 0.5,
    "hatch.color": "#a0a0a0",
}


@contextmanager
def canvas(path: str | Path, width_in: float, height_in: float) -> Iterator[Figure]:
    """Yield an empty figure of that size in inches; written to `path` as PNG when the block ends without error."""
    with matplotlib.rc_context(_LOOK):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        yield figure
        figure.savefig(path, dpi=DPI, format="png")


def unit(colour: RGB) -> tuple[float, float, float]:
    """Return a colour of the palette as matplotlib wants it: red, green, blue in 0 ... 1."""
    red, green, blue = colour
    return red / 255, green / 255, blue / 255


def paint(classes: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Return class indices (H, W) in the colours of their classes, (H, W, 3) in 0 ... 1; others are light grey."""
    colours = np.array([*class_colours(class_names), IGNORED]) / 255
    known = (classes >= 0) & (classes < len(class_names))
    return colours[np.where(known, classes, len(class_names))]


def class_legend(class_names: Sequence[str]) -> list[Patch]:
    """Return one legend entry per class, in order."""
    return [
        Patch(facecolor=unit(colour), edgecolor="none", label=name)
        for name, colour in zip(class_names, class_colours(class_names), strict=True)
    ]


def ignored_legend(label: str) -> Patch:
    """Return the legend entry of what `hatch` draws."""
    return Patch(facecolor=unit(IGNORED), edgecolor="#a0a0a0", linewidth=0, hatch="/////", label=label)


def caption(axes: Axes, text: str) -> None:
    """Write small text below a picture, such as how it is made."""
    axes.set_xlabel(text, fontsize=_CAPTION_PT, labelpad=3)


def caption_in(text: str) -> float:
    """Return how high a caption is, in inches."""
    return 0.05 + 1.3 * _CAPTION_PT / 72 * len(text.splitlines()) if text else 0.0


def hatch(axes: Axes, where: np.ndarray) -> None:
    """Cover the pixels of an image in `axes` that are True in `where` (H, W) with hatched light grey."""
    if not where.any():
        return
    # Each pixel becomes a rectangle between its own borders, so that the outline doesn't cut corners.
    rows, cols = (np.repeat(np.arange(size + 1) - 0.5, 2)[1:-1] for size in where.shape)
    outline = np.kron(where, np.ones((2, 2)))
    axes.contourf(cols, rows, outline, levels=[0.5, 1.5], colors=[unit(IGNORED)], hatches=["//////"])
