"""Data whose scenes are rasters on disk: pixels are kept decoded while they fit into memory."""

from geocompose.data.loading import Loading, check_at_least
from geocompose.data.module import SceneData
from geocompose.data.opened import Collection
from geocompose.data.rasters.raster import RasterScene
from geocompose.data.rasters.stacked import StackedScene
from geocompose.imagery.units import Values


class RasterData(SceneData):
    """Batches of rasters under a folder.

    cache_mb: decoded pixels are kept in memory while all of them fit into this; else they are read anew by windows.
    The other arguments are those of `SceneData`.
    """

    def __init__(
        self,
        *,
        name: str,
        collection: Collection,
        bands: list[str] | None,
        values: Values,
        loading: Loading,
        baselines: list[str],
        cache_mb: int,
    ) -> None:
        check_at_least("cache_mb", cache_mb, 0)
        super().__init__(
            name=name, collection=collection, bands=bands, values=values, loading=loading, baselines=baselines
        )
        self._cache_bytes = cache_mb * 2**20

    def setup(self, stage: str | None = None) -> None:
        """Decide whether pixels are kept decoded, then read and check all of them; see `SceneData.setup`."""
        fits = self._collection.decoded_bytes(len(self.bands)) <= self._cache_bytes
        for scene in self.scenes:
            assert isinstance(scene, RasterScene | StackedScene)
            scene.keep_decoded = fits
        super().setup(stage)
