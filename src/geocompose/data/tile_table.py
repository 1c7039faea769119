"""splits.csv: which scene and pixels each sample is, in the order in which a run counts them."""

import csv
import io
from collections.abc import Sequence
from typing import Protocol

from geocompose.data.scene import Scene
from geocompose.data.split import SPLITS
from geocompose.data.window import Region

COLUMNS = ("split", "tile", "scene", "row", "column", "height", "width", "group")


class Tiled(Protocol):
    """Scenes, their groups, and the windows that are samples: `geocompose.data.module.SceneData` is one."""

    scenes: list[Scene]
    groups: list[str] | None

    def tile_windows(self, split: str) -> list[Region]:
        """Return scene and window of each sample of a split."""


def tile_table(data: Tiled, splits: Sequence[str] = SPLITS) -> str:
    """Return a CSV table with a header and a row per sample of `splits`, in their order.

    split, tile: the split, and the sample's number in it, from 0: row `tile` of that split's counts. scene: the file's
    name relative to data.root (or what a scene without a file is called). row, column, height, width: the window of it,
    in pixels, that is labelled; where samples are drawn anywhere (data.random_crop), the cell that they stand for.
    group: what data.groups says of the scene; empty without it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for split in splits:
        for number, tile in enumerate(data.tile_windows(split)):
            group = "" if data.groups is None else data.groups[tile.scene]
            writer.writerow([split, number, data.scenes[tile.scene].name, *tile.window, group])
    return text.getvalue()
