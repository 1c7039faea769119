"""Data that was opened: what files, headers and lists say, before a pixel is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geocompose import bands as vocabulary
from geocompose.data.labels.base import Labels
from geocompose.data.raster import RasterScene
from geocompose.data.scene import Scene
from geocompose.data.tiling import Tiling
from geocompose.data.window import Region


@dataclass(frozen=True)
class Collection:
    """Data that was opened: headers and lists are read, pixels are not.

    scenes, regions: the scenes, and which regions of them each of train, val and test holds.
    labels: the kind of label they have. tiling: which windows of a region are samples.
    """

    scenes: Sequence[Scene]
    regions: Mapping[str, list[Region]]
    labels: Labels
    tiling: Tiling

    @property
    def band_names(self) -> list[str]:
        """Names of the bands that the first scene has, in its order."""
        return list(self.scenes[0].band_names)

    def places(self, bands: Sequence[str]) -> list[list[int]]:
        """Return for each scene the places of `bands` among its bands.

        Raises:
            UserError: a scene lacks one of them.
        """
        return [vocabulary.positions(bands, scene.band_names, where=scene.name) for scene in self.scenes]

    def decoded_bytes(self, num_bands: int) -> int:
        """Return the memory that the rasters with `num_bands` bands and their labels take decoded."""
        return sum(scene.decoded_bytes(num_bands) for scene in self.scenes if isinstance(scene, RasterScene))
