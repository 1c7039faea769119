"""Which backbone goes with which decoder: a map of all pairs, coloured by how many tasks they serve."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch

from geocompose.figures.style import INK, canvas

# Told apart by brightness too: all, some and none of the tasks; grey where nothing was tried.
_ALL, _SOME, _NONE, _UNTRIED = "#2f8f6b", "#ecd27c", "#a8325c", "#e6e6e6"
_CELL_IN = 0.2


def compatibility(
    ok: np.ndarray, tried: np.ndarray, backbones: Sequence[str], decoders: Sequence[str], path: str | Path, title: str
) -> None:
    """Write a picture of the pairs, a row per backbone and a column per decoder.

    ok, tried: (backbones, decoders), for how many tasks a pair fits together, and of how many. Where it is some of them
    only, the cell shows how many.
    """
    assert ok.shape == tried.shape == (len(backbones), len(decoders))
    kinds = np.where(tried == 0, 3, np.where(ok == tried, 0, np.where(ok > 0, 1, 2)))
    left_in = 0.075 * max(map(len, backbones)) + 0.5
    top_in = 0.06 * max(map(len, decoders)) + 0.9
    width_in = max(4.4, _CELL_IN * len(decoders) + left_in + 0.9)
    with canvas(path, width_in, max(2.0, _CELL_IN * len(backbones) + top_in + 0.5)) as figure:
        axes = figure.subplots()
        colours = ListedColormap([_ALL, _SOME, _NONE, _UNTRIED])
        axes.imshow(kinds, cmap=colours, norm=BoundaryNorm([-0.5, 0.5, 1.5, 2.5, 3.5], 4), aspect="equal")
        axes.set_xticks(range(len(decoders)), decoders, rotation=60, ha="left", rotation_mode="anchor", fontsize=7)
        axes.set_yticks(range(len(backbones)), backbones, fontsize=7)
        axes.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False, pad=2)
        axes.set_xticks(np.arange(len(decoders) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(backbones) - 1) + 0.5, minor=True)
        axes.grid(visible=False)
        axes.grid(which="minor", color="white", linewidth=0.8)
        axes.tick_params(which="minor", length=0)
        axes.spines[:].set_visible(False)
        for row, column in np.argwhere(kinds == 1):
            axes.text(column, row, f"{ok[row, column]}", fontsize=6, color=INK, ha="center", va="center")
        shares = [int((kinds == kind).sum()) for kind in range(3)]
        words = ("ok for every task", "ok for some (how many)", "refused")
        legend = [
            Patch(facecolor=colour, label=f"{word}: {share:,}")
            for colour, word, share in zip((_ALL, _SOME, _NONE), words, shares, strict=True)
        ]
        figure.suptitle(title, fontsize=9, fontweight="bold", ha="left", x=0.01)
        figure.legend(handles=legend, loc="outside lower left", ncols=3, fontsize=7)
