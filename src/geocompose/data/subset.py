"""A part of the training samples, drawn such that every smaller part lies within every larger one: `data.fraction`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geocompose.data.tiling import ImageTiling, Tiling
from geocompose.data.window import Region
from geocompose.errors import UserError, counted

# The order of samples is a stream of random numbers of its own: data.seed also draws which image is in which split.
_STREAM = 1
# What rounding leaves of a product: 0.29 * 100 is 28.999999999999996, and means 29.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Subset:
    """Which training samples there are of those that the data set has.

    fraction: what was asked for. unit: what was drawn: `tile`, or `image` where an image is one sample, or training
    crops lie anywhere in it.
    total: how many of them the training split has. chosen: the numbers of those that were drawn, from 0, ascending.
    """

    fraction: float
    unit: str
    total: int
    chosen: Sequence[int]

    def as_record(self) -> dict[str, Any]:
        """Return what a record keeps, as JSON knows it; `chosen` is a text such as `0,4-6,9`."""
        return {
            "fraction": self.fraction,
            "unit": self.unit,
            "total": self.total,
            "count": len(self.chosen),
            "chosen": in_ranges(self.chosen),
        }


def check_fraction(fraction: float) -> None:
    """Refuse a `data.fraction` that is not a share.

    Raises:
        UserError: it is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise UserError(f"data.fraction must be a share of the training tiles, above 0 and at most 1; got {fraction}.")


def drawn_part(
    regions: Sequence[Region], tiling: Tiling, fraction: float, seed: int, *, random_crop: bool
) -> tuple[list[Region], Subset]:
    """Return the regions of a part of the training samples, and which samples these are.

    The samples have one random order, which `seed` and their number determine; the first ones of it are taken, so that
    smaller parts lie within larger ones. Labels don't matter for the order: choosing by them would need the labels that
    a small part is to do without.

    regions: of the whole training split. fraction: of the samples, rounded down.
    random_crop: training crops lie anywhere in a region, so that whole regions are drawn and not the tiles in them.

    Raises:
        UserError: it is less than one sample.
    """
    one_each = isinstance(tiling, ImageTiling)
    of_images = random_crop or one_each
    units = list(regions) if of_images else [tile for region in regions for tile in tiling.tiles(region)]
    unit = "image" if of_images else "tile"
    count = math.floor(fraction * len(units) + _ROUNDING)
    if not count:
        tiles = "" if one_each or not random_crop else ", or data.random_crop=false, which draws tiles"
        raise UserError(
            f"data.fraction={fraction:g} of {counted(len(units), f'training {unit}')} is less than one. Write "
            f"{math.ceil(1000 / len(units)) / 1000:g} or more{tiles}."
        )
    order = np.random.default_rng((seed, _STREAM)).permutation(len(units))
    chosen = sorted(map(int, order[:count]))
    return [units[number] for number in chosen], Subset(fraction, unit, len(units), chosen)


def in_ranges(numbers: Sequence[int]) -> str:
    """Return ascending whole numbers as a short text: `0,4-6,9`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)
