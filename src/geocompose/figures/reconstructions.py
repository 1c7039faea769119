"""What a model makes of tiles of which patches are hidden: the image, what it was shown, and what it says."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from geocompose.figures.palette import IGNORED
from geocompose.figures.style import canvas, caption, caption_in, hatch, unit

_COLUMNS = ("Image", "Shown", "Reconstruction")
_CELL_IN = 1.9


class ReconstructedSample(TypedDict):
    """One tile: `image` and `reconstruction` (3, H, W) in 0 ... 1, `hidden` and `nodata` (H, W) bool, and a `title`.

    The reconstruction is the image where that was shown.
    """

    image: np.ndarray
    reconstruction: np.ndarray
    hidden: np.ndarray
    nodata: np.ndarray
    title: str


def reconstructions(samples: Sequence[ReconstructedSample], path: str | Path, how: str = "") -> None:
    """Write a picture with one row per sample; hidden pixels are grey in the middle, those without data hatched.

    how: which bands the images show, and how stretched; it stands below them.
    """
    assert samples, "no sample to draw"
    aspects = [sample["hidden"].shape[0] / sample["hidden"].shape[1] for sample in samples]
    height_in = sum(_CELL_IN * aspect + 0.06 for aspect in aspects) + 0.3 + caption_in(how)
    with canvas(path, 3 * _CELL_IN + 0.7, height_in) as figure:
        grid = figure.subplots(len(samples), 3, squeeze=False, gridspec_kw={"height_ratios": aspects})
        for title, axes in zip(_COLUMNS, grid[0], strict=True):
            axes.set_title(title)
        for sample, row in zip(samples, grid, strict=True):
            image = np.clip(np.moveaxis(sample["image"], 0, -1), 0, 1)
            shown = np.where(sample["hidden"][..., None], unit(IGNORED), image)
            said = np.clip(np.moveaxis(sample["reconstruction"], 0, -1), 0, 1)
            for axes, picture in zip(row, (image, shown, said), strict=True):
                axes.imshow(picture, interpolation="nearest")
                hatch(axes, sample["nodata"])
                axes.set(xticks=[], yticks=[])
                axes.grid(visible=False)
                axes.spines[:].set_visible(False)
            row[0].set_ylabel(sample["title"], fontsize=8)
        caption(grid[-1][0], how)
        caption(grid[-1][1], "grey: hidden\nhatched: no data")
