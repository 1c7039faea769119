"""The tiles that runs were scored on: their files and places, and which of them belong together. Free of torch."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geocompose.errors import UserError
from geocompose.runs.atomic import explained

_MOST_BYTES = 256 * 2**20


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
    """Which tiles belong together: a label per tile. what: of labels, `scenes` or `groups`. caveat: what they lack."""

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
        if path.exists() and (not path.is_file() or path.stat().st_size > _MOST_BYTES):
            raise UserError(f"{path} is not a file, or larger than any table of tiles.")
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
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing, which says what the run's tiles are.") from error
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is damaged: it is not the table of tiles that a run writes.") from error


def clusters_of(tiles: Sequence[Tile]) -> Clusters:
    """Return which tiles are alike: those of one group where the data has groups, else of one scene.

    Tiles of a single raster are one cluster: blocks of neighbours are alike too, and what they tell of other ground
    can't be believed (experiments/sen1floods11_chip).
    """
    if tiles and all(tile.group for tile in tiles):
        return Clusters(tuple(tile.group for tile in tiles), "groups")
    scenes = tuple(tile.scene for tile in tiles)
    alone = len(set(scenes)) == 1
    caveat = f"All tiles lie in one raster, {scenes[0]}: nothing is said of other places." if alone else ""
    return Clusters(scenes, "scenes", caveat)
