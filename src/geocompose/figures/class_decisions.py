"""How well each class is found among images that can have several: precision, recall and F1, beside the counts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geocompose.errors import counted
from geocompose.figures.style import GREY, canvas, unit

_PRECISION, _RECALL = (86, 180, 233), (0, 114, 178)


def class_decisions(counts: np.ndarray, class_names: Sequence[str], path: str | Path, title: str) -> None:
    """Write a picture of two bars per class, its F1 as a mark, and how many images have it and are said to have it.

    counts: (classes, 2, 2) integers, rows the truth (no, yes), columns the prediction (no, yes).
    """
    assert counts.shape == (len(class_names), 2, 2), (counts.shape, len(class_names))
    hits, true, said = counts[:, 1, 1], counts[:, 1].sum(axis=1), counts[:, :, 1].sum(axis=1)
    shares = {
        "precision": (hits / np.maximum(said, 1), said > 0, _PRECISION, -0.19),
        "recall": (hits / np.maximum(true, 1), true > 0, _RECALL, 0.19),
    }
    places = range(len(class_names))
    with canvas(path, 6.6, 1.4 + 0.42 * len(class_names)) as figure:
        axes = figure.subplots()
        for label, (values, defined, colour, shift) in shares.items():
            axes.barh(
                [place + shift for place in places],
                np.where(defined, values, 0),
                height=0.34,
                color=unit(colour),
                label=label,
            )
        f1 = np.where(true > 0, 2 * hits / np.maximum(true + said, 1), np.nan)
        axes.plot(f1, places, linestyle="none", marker="D", markersize=5, color="#222222", label="F1", zorder=3)
        for place in places:
            found = f"{hits[place]:,} found of {true[place]:,}" if true[place] else "no image has it"
            alarms = counted(said[place] - hits[place], "false alarm")
            axes.text(1.02, place, f"{found}; {alarms}", va="center", fontsize=7.5, color=GREY)
        axes.set_yticks(places, class_names)
        axes.set(xlim=(0, 1), ylim=(len(class_names) - 0.5, -0.5), xlabel="share (0 to 1)")
        axes.set_title(title)
        axes.grid(visible=False, axis="y")
        figure.legend(loc="outside lower center", ncols=3)
