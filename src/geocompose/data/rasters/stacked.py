"""Scenes of several rasters on one grid, their bands one after the other: Sentinel-1 beside Sentinel-2, say."""

from collections.abc import Sequence

import numpy as np

from geocompose.data.files.grids import check_alike
from geocompose.data.rasters.raster import RasterScene
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.imagery import bands as vocabulary
from geocompose.imagery.units import Conversion, Values


class StackedScene:
    """An image of several rasters, with the label of the first.

    A pixel is valid where it is in each raster of which a band is read; nodata is each raster's own, and so is what its
    values are.

    Raises:
        UserError: a raster lies on another grid than the first, or two have a band of one name.
    """

    def __init__(self, first: RasterScene, more: Sequence[RasterScene]) -> None:
        self.name, self.image_path, self.label = first.name, first.image_path, first.label
        self.height, self.width, self.crs, self.transform = first.height, first.width, first.crs, first.transform
        self.num_frames = first.num_frames
        self._rasters = [first, *more]
        self.band_names = [name for raster in self._rasters for name in raster.band_names]
        # Of each band: which raster has it, and its place there.
        self._sources = [
            (number, place) for number, raster in enumerate(self._rasters) for place in range(len(raster.band_names))
        ]
        for raster in more:
            check_alike(first.image_path, first, raster.image_path, raster, what="further image")
        _check_names(self._rasters)

    @property
    def conversions(self) -> Sequence[Conversion] | None:
        """What is done to the values of each band when it is read; None leaves them all as they are."""
        if any(raster.conversions is None for raster in self._rasters):
            return None
        return [conversion for raster in self._rasters for conversion in raster.conversions or ()]

    @conversions.setter
    def conversions(self, conversions: Sequence[Conversion] | None) -> None:
        left = None if conversions is None else list(conversions)
        for raster in self._rasters:
            count = len(raster.band_names)
            raster.conversions = None if left is None else left[:count]
            left = None if left is None else left[count:]

    @property
    def more_values(self) -> dict[str, Values]:
        """What the values of the further rasters' bands are, by the vocabulary's names."""
        return {vocabulary.canonical(name): raster.values for raster in self._rasters[1:] for name in raster.band_names}

    @property
    def keep_decoded(self) -> bool:
        """Whether pixels stay in memory once they were read."""
        return self._rasters[0].keep_decoded

    @keep_decoded.setter
    def keep_decoded(self, keep: bool) -> None:
        for raster in self._rasters:
            raster.keep_decoded = keep

    def decoded_bytes(self, num_bands: int) -> int:
        """Return the most memory that `num_bands` of the image and the label take when they are kept decoded."""
        return max(raster.decoded_bytes(num_bands) for raster in self._rasters)

    def read_image(self, window: Window, bands: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the image and where it is valid, see `geocompose.data.scene.Scene`.

        Raises:
            UserError: a file can't be decoded.
        """
        planes: dict[int, np.ndarray] = {}
        valid = np.ones((window.height, window.width), dtype=bool)
        for number, raster in enumerate(self._rasters):
            own = [band for band in bands if self._sources[band][0] == number]
            if own:
                image, there = raster.read_image(window, [self._sources[band][1] for band in own])
                planes.update(zip(own, image, strict=True))
                valid &= there
        return np.stack([planes[band] for band in bands]), valid

    def read_label(self, window: Window) -> np.ndarray:
        """Return the label of a window, see `geocompose.data.scene.Scene`."""
        return self.label.read(window)


def _check_names(rasters: Sequence[RasterScene]) -> None:
    owner: dict[str, RasterScene] = {}
    for raster in rasters:
        for name in raster.band_names:
            known = vocabulary.canonical(name)
            if known in owner:
                raise UserError(
                    f"{owner[known].image_path} and {raster.image_path} both have the band {name!r}. Give one of them "
                    "another name, with band_names in data.more_images or data.band_names."
                )
            owner[known] = raster
