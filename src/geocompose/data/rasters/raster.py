"""Scenes that are rasters on disk: headers checked at once, pixels read by windows when they are asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geocompose.data.rasters.bands import names_of_bands, places_in_file
from geocompose.data.rasters.file import check_real, equals, read_bands, read_header
from geocompose.data.rasters.label import SceneLabel
from geocompose.data.window import Window
from geocompose.imagery.units import Conversion, Values, converted


class RasterScene:
    """An image raster and its label.

    name: how errors and records call it.
    image_path: any raster that GDAL reads. label: what its pixels or the whole of it are labelled.
    band_names: names of the image's bands in file order; None means the file's own descriptions.
    nodata: the image's nodata value (NaN allowed); None means what the file declares, band by band.
    num_frames: time steps in the file, one after the other: all bands of the first, then all of the second, ...;
        `band_names` are then those of one.
    values: what the pixels' values are, where the raster has a statement of its own (see `StackedScene`).
    names_key: where the configuration has `band_names`, for errors.

    Raises:
        UserError: the file is not a raster, has no band names, or another number of bands than names; the label has
        another size or place than the image.
    """

    def __init__(
        self,
        name: str,
        image_path: Path,
        label: SceneLabel,
        band_names: Sequence[str] | None = None,
        nodata: float | None = None,
        num_frames: int = 1,
        values: Values | None = None,
        names_key: str = "data.band_names",
    ) -> None:
        self.name = name
        self.num_frames = num_frames
        self.values = Values() if values is None else values
        self.image_path = image_path
        self.label = label
        self._image_bands: dict[int, np.ndarray] = {}
        self._keep_decoded = False
        self.conversions: Sequence[Conversion] | None = None
        header = read_header(image_path)
        self.height, self.width, self.crs, self.transform = header.height, header.width, header.crs, header.transform
        self.band_names = names_of_bands(image_path, header, band_names, num_frames, names_key)
        self._nodata = [nodata] * header.count if nodata is not None else header.nodata
        self._itemsize = header.itemsize
        self._dtypes = header.dtypes
        label.check_fits(image_path, header)

    @property
    def keep_decoded(self) -> bool:
        """Whether pixels stay in memory once they were read."""
        return self._keep_decoded

    @keep_decoded.setter
    def keep_decoded(self, keep: bool) -> None:
        self._keep_decoded = self.label.keep_decoded = keep

    def decoded_bytes(self, num_bands: int) -> int:
        """Return the memory that `num_bands` of the image and the label take when they are kept decoded."""
        planes = num_bands * self.num_frames
        return self.height * self.width * planes * self._itemsize + self.label.decoded_bytes()

    def read_image(self, window: Window, bands: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the image, float32 (bands, height, width), and where no band is nodata, bool (height, width).

        An image of several frames is (bands, frames, height, width).

        Raises:
            UserError: the file can't be decoded, or a band of it holds complex numbers.
        """
        planes = places_in_file(bands, len(self.band_names), self.num_frames)
        check_real(self.image_path, self._dtypes, planes)
        raw = self._read_bands(window, planes)
        valid = np.ones(raw.shape[1:], dtype=bool)
        for plane, band in zip(raw, planes, strict=True):
            is_nodata = equals(plane, self._nodata[band])
            if is_nodata is not None:
                valid &= ~is_nodata
        if self.num_frames > 1:
            raw = raw.reshape(len(bands), self.num_frames, *valid.shape)
        return converted(raw, bands, self.conversions), valid

    def read_label(self, window: Window) -> np.ndarray:
        """Return the label of a window, see `geocompose.data.scene.Scene`.

        Raises:
            UserError: the file can't be decoded, or holds what its kind does not have.
        """
        return self.label.read(window)

    def __getstate__(self) -> dict[str, Any]:
        # Another process decodes for itself: pixels are slow to send.
        return self.__dict__ | {"_image_bands": {}}

    def _read_bands(self, window: Window, bands: list[int]) -> np.ndarray:
        if not self.keep_decoded:
            return read_bands(self.image_path, bands, window)
        missing = [band for band in bands if band not in self._image_bands]
        if missing:
            self._image_bands.update(zip(missing, read_bands(self.image_path, missing, None), strict=True))
        rows, columns = window.slices
        return np.stack([self._image_bands[band][rows, columns] for band in bands])
