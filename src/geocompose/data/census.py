"""What each training tile holds: how much of it counts, and how many pixels or images of each class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from geocompose.data.labels.base import Labels
from geocompose.data.scene import Scene
from geocompose.data.window import Region
from geocompose.errors import UserError, choices

Sampling = Literal["rare_classes"]


@dataclass(frozen=True)
class Census:
    """One row per tile.

    share: of a tile's pixels, those that count (tiles): where pixels have labels, the pixels of `tile_px` x `tile_px`
        with image data and a label; where images have, the image's pixels with data.
    classes: how many pixels (or images, 0 or 1) have each class (tiles, classes); known: of how many that is known.
        Both are empty where labels are numbers.
    """

    share: np.ndarray
    classes: np.ndarray
    known: np.ndarray

    def kept(self, min_valid: float) -> np.ndarray:
        """Return the numbers of the tiles of which at least this share counts.

        Raises:
            UserError: none does.
        """
        kept = np.flatnonzero(self.share >= min_valid)
        if not kept.size:
            raise UserError(
                f"data.min_valid={min_valid:g} leaves out all {len(self.share)} training tiles: the largest share of "
                f"pixels that count is {self.share.max():.3g}. Lower it."
            )
        return kept

    def of(self, tiles: np.ndarray) -> "Census":
        """Return the rows of some tiles."""
        return Census(self.share[tiles], self.classes[tiles], self.known[tiles])


def census(
    scenes: Sequence[Scene], bands: Sequence[Sequence[int]], tiles: Sequence[Region], labels: Labels, tile_px: int
) -> Census:
    """Look at every tile. bands: for each scene the places of the selected bands, which decide what has data."""
    target = labels.target
    share, classes, known = np.zeros(len(tiles)), [], []
    for number, tile in enumerate(tiles):
        scene = scenes[tile.scene]
        _, valid = scene.read_image(tile.window, bands[tile.scene])
        label = labels.without(scene.read_label(tile.window), valid)
        if target.pixel_wise:
            there = label != target.ignore_index if target.of_classes else ~np.isnan(label).all(axis=0)
            share[number] = there.sum() / tile_px**2
        else:
            share[number] = valid.mean()
        if target.of_classes:
            if target.kind == "multilabel":
                classes.append(label == 1)
                known.append(label >= 0)
            else:
                own = np.bincount(label[label != target.ignore_index].ravel(), minlength=target.num_outputs)
                classes.append(own)
                known.append(np.full(target.num_outputs, own.sum()))
    shape = (len(tiles), target.num_outputs) if target.of_classes else (len(tiles), 0)
    return Census(share, *(np.array(rows, dtype=np.int64).reshape(shape) for rows in (classes, known)))


def sampling_weights(rule: Sampling, there: Census) -> np.ndarray:
    """Return how likely each tile is drawn (tiles), with sum 1.

    `rare_classes`: one class after the other is equally likely, and of its pixels (or images) each is; the tile that
    holds it is drawn. So w = 1 / K * sum over the K classes that are there of n / N: n pixels of the class in the tile,
    N in all tiles. Images that are known to have none of several classes are a class of their own. A tile without any
    label is never drawn.

    Raises:
        UserError: an unknown rule.
    """
    if rule not in get_args(Sampling):
        raise UserError(f"task.sampler has no {rule!r}. {choices(rule, get_args(Sampling))}")
    counts = there.classes.astype(np.float64)
    none = (counts.sum(axis=1) == 0) & (there.known.sum(axis=1) > 0)
    counts = np.column_stack([counts, none])
    total = counts.sum(axis=0)
    return (counts[:, total > 0] / total[total > 0]).sum(axis=1) / (total > 0).sum()
