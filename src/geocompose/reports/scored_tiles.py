"""The tiles that runs were scored on: their files and places, and which of them belong together. Free of torch."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geocompose.errors import UserError, counted
from geocompose.runs.atomic import explained
from geocompose.statistics.blocks import spatial_blocks

# Blocks of so many tiles a side are tried, from the largest one that leaves as many blocks.
_SIDES, _BLOCKS = (4, 3, 2), 8


@dataclass(frozen=True)
class Tile:
    """A tile's file and window in pixels. group: of data.groups; empty without it."""

    scene: str
    row: int
    column: int
    height: int
    width: int
    group: str = ""

    @property
    def place(self) -> str:
        """Where it lies, in words."""
        return f"{self.scene}, row {self.row}, column {self.column}"


@dataclass(frozen=True)
class Clusters:
    """Which tiles belong together, a label per tile, and what these labels are, in words."""

    labels: tuple[str, ...]
    what: str
    caveat: str = ""

    @property
    def number(self) -> int:
        """How many there are."""
        return len(set(self.labels))


def read_tiles(path: Path, split: str) -> list[Tile]:
    """Return the tiles of a split, in the order of a run's counts.

    path: a run's splits.csv.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with explained(path, "read"), path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == split]
            return [
                Tile(
                    row["scene"],
                    int(row["row"]),
                    int(row["column"]),
                    int(row["height"]),
                    int(row["width"]),
                    row["group"] or "",
                )
                for row in rows
            ]
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing, which says what the run's tiles are.") from error
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is damaged: it is not the table of tiles that a run writes.") from error


def clusters_of(tiles: Sequence[Tile]) -> Clusters:
    """Return which tiles are alike: those of one group where the data has groups, else of one scene.

    Tiles of a single raster are clustered in blocks of neighbours: what is said of them holds for other ground like
    this raster's alone, which `caveat` says.
    """
    if tiles and all(tile.group for tile in tiles):
        return Clusters(tuple(tile.group for tile in tiles), "groups (data.groups)")
    scenes = {tile.scene for tile in tiles}
    if len(scenes) != 1 or len(tiles) == 1:
        return Clusters(tuple(tile.scene for tile in tiles), "scenes")
    rows, columns = (_steps([getattr(tile, axis) for tile in tiles]) for axis in ("row", "column"))
    for side in (*_SIDES, 1):
        blocks = spatial_blocks(rows, columns, side)
        if side == 1 or len(set(blocks)) >= _BLOCKS:
            break
    size = "single tiles" if side == 1 else f"blocks of {side} x {side} tiles"
    caveat = (
        f"All test tiles lie in one raster ({next(iter(scenes))}). Its {counted(len(set(blocks)), 'cluster')} are "
        f"{size}: intervals are of other ground like this raster's, not of other rasters, and too narrow where "
        "neighbours are alike."
    )
    return Clusters(tuple(blocks), f"{size} of one raster", caveat)


def _steps(starts: Sequence[int]) -> list[int]:
    """Return the place of each tile along an axis of the grid, from 0."""
    places = {start: place for place, start in enumerate(np.unique(starts).tolist())}
    return [places[start] for start in starts]
