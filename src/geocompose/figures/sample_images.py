"""What a model says of single images: a grid of them, each with what is true and what was predicted."""

from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from geocompose.figures.style import INK, canvas, caption_in, hatch

_CELL_IN = 1.75
_A_ROW = 4
_WRONG = "#aa003c"
_LETTERS, _LINES = 30, 4


class ImageSample(TypedDict):
    """One image (3, H, W) in 0 ... 1, what is true and what was predicted in words, and whether that is `right`.

    name: what the image is called, above it. nodata: (H, W), True where it holds no data.
    """

    image: np.ndarray
    nodata: NotRequired[np.ndarray]
    truth: str
    prediction: str
    right: bool
    name: NotRequired[str]


def sample_images(samples: Sequence[ImageSample], path: str | Path, title: str, how: str = "") -> None:
    """Write a picture of the images, row by row; predictions that are wrong are red, pixels without data hatched.

    how: which bands the images show, and how stretched; it stands below them.
    """
    assert samples, "no sample to draw"
    columns = min(_A_ROW, len(samples))
    rows = -(-len(samples) // columns)
    captions = [
        "\n".join(_wrapped(f"label: {sample['truth']}") + _wrapped(f"prediction: {sample['prediction']}"))
        for sample in samples
    ]
    lines = max(caption.count("\n") + 1 for caption in captions)
    named_in = 0.15 * max(len(sample.get("name", "").splitlines()) for sample in samples)
    hatched = any(sample["nodata"].any() for sample in samples if "nodata" in sample)
    told = ", ".join([*how.splitlines(), *(["hatched: no data"] if hatched else [])])
    height_in = rows * (_CELL_IN + 0.13 * lines + 0.05 + named_in) + 0.35 + caption_in(told)
    with canvas(path, columns * _CELL_IN + 0.2, height_in) as figure:
        figure.supxlabel(told, fontsize=7, x=0.01, ha="left")
        figure.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid[len(samples) :]:
            axes.set_visible(False)
        for axes, sample, caption in zip(grid, samples, captions, strict=False):
            axes.imshow(np.clip(np.moveaxis(sample["image"], 0, -1), 0, 1), interpolation="nearest")
            if "nodata" in sample:
                hatch(axes, sample["nodata"])
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
            colour = INK if sample["right"] else _WRONG
            axes.spines[:].set(visible=True, color=colour, linewidth=0.6 if sample["right"] else 2.0)
            axes.set_title(sample.get("name", ""), fontsize=7, fontweight="normal", pad=2)
            axes.set_xlabel(caption, fontsize=7, color=colour, labelpad=2)


def _wrapped(text: str) -> list[str]:
    """Return the text in lines that are about as wide as an image, broken between its words; a few lines at most."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= _LETTERS or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], f"{lines[_LINES - 1].rstrip(',')}, …"]
    return [line if len(line) <= _LETTERS + 3 else f"{line[: _LETTERS - 1]}…" for line in lines]
