"""Clusters of tiles where no scene or event is known: blocks of neighbours, and how alike these still are.

Tiles of one raster are alike where they are near. Blocks of them take the place of scenes, with a caveat: they are
independent only as far as the likeness ends within a block, and all lie in one place. An interval from blocks is of
other ground like this raster's, not of other rasters.

Source: Roberts et al. 2017, Ecography 40 (blocks for spatial data); Moran 1950, Biometrika 37 (likeness of neighbours).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geocompose.errors import UserError


@dataclass(frozen=True)
class Likeness:
    """How alike neighbours are: Moran's I, about 0 for independent ones, 1 for equal ones. NaN without neighbours.

    pairs: how many neighbours were compared. deviations: how far the value lies from that of independent places, in
    standard deviations of such places.
    """

    correlation: float
    pairs: int
    deviations: float


def spatial_blocks(rows: Sequence[int], columns: Sequence[int], size: int | tuple[int, int]) -> list[str]:
    """Return the block of each tile, as a label such as `rows 0-1, columns 2-3`.

    rows, columns: of each tile in the grid of tiles, from 0. size: tiles along a block's side, or (rows, columns).

    Raises:
        UserError: a size below 1, or not a row and a column per tile.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise UserError(f"size must be 1 or more tiles; got {size}.")
    if len(rows) != len(columns):
        raise UserError(f"rows and columns must be one per tile; got {len(rows)} rows and {len(columns)} columns.")
    tops, lefts = (np.asarray(values) // side * side for values, side in ((rows, height), (columns, width)))
    return [
        f"rows {top}-{top + height - 1}, columns {left}-{left + width - 1}"
        for top, left in zip(tops.tolist(), lefts.tolist(), strict=True)
    ]


def likeness(values: Sequence[float], rows: Sequence[int], columns: Sequence[int]) -> Likeness:
    """Return how alike neighbouring places are in a value, such as a tile's part of a score.

    values: one per place. rows, columns: of each place in its grid; those that share a side are neighbours. To see what
    is left between blocks, give the blocks' values and places.

    Raises:
        UserError: not a row and a column per value, or two values for one place.
    """
    if not len(values) == len(rows) == len(columns):
        raise UserError(
            f"values, rows and columns must be one per place; got {len(values)}, {len(rows)}, {len(columns)}."
        )
    place = {(int(row), int(column)): i for i, (row, column) in enumerate(zip(rows, columns, strict=True))}
    if len(place) < len(values):
        raise UserError("Two values are at one place: rows and columns must be of the tiles of one raster.")
    pairs = [
        (i, place[after])
        for (row, column), i in place.items()
        for after in ((row + 1, column), (row, column + 1))
        if after in place
    ]
    number, count = len(values), len(pairs)
    deviation = np.asarray(values, dtype=np.float64) - np.mean(values) if number else np.zeros(0)
    square = float((deviation**2).mean()) if number else 0.0
    if not pairs or number < 4 or not square > 0:
        return Likeness(float("nan"), count, float("nan"))
    i, j = np.array(pairs).T
    correlation = float((deviation[i] * deviation[j]).mean() / square)
    # Moran's I of normal values: E = -1/(n - 1), and the variance from S0 = 2 pairs, S1 = 4 pairs, S2 = 4 sum degree^2.
    degrees = np.bincount(np.concatenate([i, j]), minlength=number)
    total = 2 * count
    expected = -1 / (number - 1)
    second = (number**2 * 4 * count - number * 4 * (degrees**2).sum() + 3 * total**2) / ((number**2 - 1) * total**2)
    return Likeness(correlation, count, (correlation - expected) / float(np.sqrt(second - expected**2)))
