"""Which values the labels of a data set hold, for the answer to one that means no class."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from geocompose.data.rasters.label import ClassRaster
from geocompose.data.rasters.scene import RasterScene
from geocompose.data.scene import Scene
from geocompose.data.window import Region, Window, grid
from geocompose.errors import UserError, counted

_MOST_FILES = 500  # a minute of reading labels of usual size
_CELL_PX = 1024


def advice_on_values(scenes: Sequence[Scene], regions: Mapping[str, Sequence[Region]]) -> str:
    """Return which values the labels hold, and what to write where they are codes of the classes; else nothing."""
    found: Counter[int] = Counter()
    codes, files = None, 0
    for region in [region for several in regions.values() for region in several][:_MOST_FILES]:
        raster = class_raster(scenes[region.scene])
        if raster is None:
            continue
        codes, files = raster.codes, files + 1
        try:
            for _, window in grid(region, _CELL_PX):
                found.update(count_values(raster.values(window)))
        except UserError:  # damaged: told when it is read for what it is
            continue
    if codes is None:
        return ""
    return codes.advice(found, f"The labels of {counted(files, 'scene')}")


def class_raster(scene: Scene) -> ClassRaster | None:
    """Return the raster of classes that labels a scene, if one does."""
    if isinstance(scene, RasterScene) and isinstance(scene.label, ClassRaster):
        return scene.label
    return None


def unlisted_pixels(scene: Scene, window: Window) -> int:
    """Return how many pixels of a window have a value that means no class, and are read as no label for that."""
    raster = class_raster(scene)
    if raster is None or not raster.codes.ignores_unlisted:
        return 0
    return int(raster.codes.unlisted(raster.values(window)).sum())


def count_values(values: np.ndarray) -> Counter[int]:
    """Return how often each value occurs."""
    found, counts = np.unique(values, return_counts=True)
    return Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))
