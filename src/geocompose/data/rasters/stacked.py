"""Images of several rasters on one grid, their bands one after the other: Sentinel-1 beside Sentinel-2, say."""

from collections.abc import Sequence

import numpy as np

from geocompose.data.rasters.grid import check_alike
from geocompose.data.rasters.image import RasterImage, SceneImage
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.imagery.bands import canonical
from geocompose.imagery.file_values import Stored
from geocompose.imagery.units import Conversion


class StackedImage(SceneImage):
    """An image of several rasters; size, place and frames are the first one's.

    A pixel is valid where it is in each raster of which a band is read; nodata is each raster's own, and so is what its
    values are.

    rename: what errors advise where two rasters have a band of one name.

    Raises:
        UserError: a raster lies on another grid than the first, or two have a band of one name.
    """

    def __init__(self, rasters: Sequence[RasterImage], *, rename: str) -> None:
        first = rasters[0]
        self.path, self.num_frames = first.path, first.num_frames
        self.height, self.width, self.crs, self.transform = first.height, first.width, first.crs, first.transform
        self.band_names = [name for raster in rasters for name in raster.band_names]
        self._rasters = rasters
        # Of each band: which raster has it, and its place there.
        self._sources = [
            (number, place) for number, raster in enumerate(rasters) for place in range(len(raster.band_names))
        ]
        for raster in rasters[1:]:
            check_alike(first.path, first, raster.path, raster, what="further raster")
        _check_names(rasters, rename)

    @property
    def conversions(self) -> Sequence[Conversion] | None:
        """What is done to the values of each band when it is read; None leaves them all as they are."""
        if any(raster.conversions is None for raster in self.rasters):
            return None
        return [conversion for raster in self.rasters for conversion in raster.conversions or ()]

    @conversions.setter
    def conversions(self, conversions: Sequence[Conversion] | None) -> None:
        left = None if conversions is None else list(conversions)
        for raster in self.rasters:
            count = len(raster.band_names)
            raster.conversions = None if left is None else left[:count]
            left = None if left is None else left[count:]

    @property
    def keep_decoded(self) -> bool:
        """Whether pixels stay in memory once they were read."""
        return self.rasters[0].keep_decoded

    @keep_decoded.setter
    def keep_decoded(self, keep: bool) -> None:
        for raster in self.rasters:
            raster.keep_decoded = keep

    @property
    def rasters(self) -> Sequence[RasterImage]:
        """The rasters that it is made of."""
        return self._rasters

    def raster_of(self, band: int) -> RasterImage:
        """Return which raster has a band."""
        return self._rasters[self._sources[band][0]]

    def stored(self, band: int) -> tuple[Stored, ...]:
        """Return how a band is stored in each frame."""
        number, place = self._sources[band]
        return self._rasters[number].stored(place)

    def check_real(self, bands: Sequence[int]) -> None:
        """Refuse to read complex numbers, see `geocompose.data.rasters.image.SceneImage`."""
        for raster, _, own in self._of(bands):
            raster.check_real(own)

    def read_frames(self, window: Window, bands: Sequence[int]) -> tuple[Sequence[np.ndarray], np.ndarray]:
        """Return planes and where each frame has data, see `geocompose.data.rasters.image.SceneImage`."""
        frames: dict[int, Sequence[np.ndarray]] = {}  # of each band
        valid = np.ones((self.num_frames, window.height, window.width), dtype=bool)
        for raster, wanted, own in self._of(bands):
            stored, there = raster.read_frames(window, own)
            frames.update(
                (band, stored[place * self.num_frames : (place + 1) * self.num_frames])
                for place, band in enumerate(wanted)
            )
            valid &= there
        return [plane for band in bands for plane in frames[band]], valid

    def decoded_bytes(self, num_bands: int) -> int:
        """Return the most memory that `num_bands` of it take when they are kept decoded."""
        return max(raster.decoded_bytes(num_bands) for raster in self.rasters)

    def _of(self, bands: Sequence[int]) -> list[tuple[RasterImage, list[int], list[int]]]:
        """Return the rasters that have some of `bands`, with these bands, and their places there."""
        found = []
        for number, raster in enumerate(self.rasters):
            wanted = [band for band in bands if self._sources[band][0] == number]
            if wanted:
                found.append((raster, wanted, [self._sources[band][1] for band in wanted]))
        return found


def _check_names(rasters: Sequence[RasterImage], rename: str) -> None:
    owner: dict[str, RasterImage] = {}
    for raster in rasters:
        for name in raster.band_names:
            known = canonical(name)
            if known in owner:
                raise UserError(f"{owner[known].path} and {raster.path} both have the band {name!r}. {rename}")
            owner[known] = raster
