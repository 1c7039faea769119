"""How the rasters of an image are read: which bands they have, in how many frames, and which rasters belong to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geocompose.data.files.more_images import read_more
from geocompose.data.loading import check_at_least
from geocompose.data.rasters.label import ImageLabel, SceneLabel
from geocompose.data.rasters.raster import RasterScene
from geocompose.data.rasters.stacked import StackedScene

Rasters = RasterScene | StackedScene
_NO_LABEL = ImageLabel(np.zeros(0))


@dataclass(frozen=True)
class ImageRasters:
    """How the rasters of an image are read.

    band_names: names of its bands in file order, of one frame; None means those that the files carry.
    nodata: value of pixels without data (NaN allowed); None means what each file declares.
    num_frames: time steps in each file, one after the other. more: see `geocompose.data.files.more_images.MoreImages`.

    Raises:
        UserError: no frame.
    """

    band_names: Sequence[str] | None = None
    nodata: float | None = None
    num_frames: int = 1
    more: Sequence[Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        check_at_least("num_frames", self.num_frames, 1)

    def scenes(self, named: Sequence[tuple[str, Path, SceneLabel]], further: Sequence[Sequence[Path]]) -> list[Rasters]:
        """Return the scenes of images, each with its name, path and label; headers are read, no pixel.

        further: for each entry of `more` the file of each image.

        Raises:
            UserError: a raster has other bands, or a further one is on another grid.
        """
        first = [
            RasterScene(name, path, label, self.band_names, self.nodata, self.num_frames) for name, path, label in named
        ]
        entries = read_more(self.more)
        if not entries:
            return list(first)
        stacked = []
        for number, scene in enumerate(first):
            rasters = [
                RasterScene(
                    scene.name,
                    paths[number],
                    _NO_LABEL,
                    more.band_names,
                    more.nodata,
                    self.num_frames,
                    more.values,
                    names_key=f"data.more_images[{entry}].band_names",
                )
                for entry, (more, paths) in enumerate(zip(entries, further, strict=True))
            ]
            stacked.append(StackedScene(scene, rasters))
        return list(stacked)
