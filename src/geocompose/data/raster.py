"""Scenes that are rasters on disk: headers checked at once, pixels read by windows when they are asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geocompose import bands as vocabulary
from geocompose.data.raster_file import Header, equals, read_bands, read_header
from geocompose.data.raster_label import SceneLabel
from geocompose.data.window import Window
from geocompose.errors import UserError


class RasterScene:
    """An image raster and its label.

    name: how errors and records call it.
    image_path: any raster that GDAL reads. label: what its pixels or the whole of it are labelled.
    band_names: names of the image's bands in file order; None means the file's own descriptions.
    nodata: the image's nodata value (NaN allowed); None means what the file declares, band by band.

    Raises:
        UserError: the file is no raster, has no band names, or another number of bands than names; the label has another
        size or place than the image.
    """

    def __init__(
        self,
        name: str,
        image_path: Path,
        label: SceneLabel,
        band_names: Sequence[str] | None = None,
        nodata: float | None = None,
    ) -> None:
        self.name = name
        self.image_path = image_path
        self.label = label
        self._image_bands: dict[int, np.ndarray] = {}
        self._keep_decoded = False
        header = read_header(image_path)
        self.height, self.width, self.crs, self.transform = header.height, header.width, header.crs, header.transform
        self.band_names = _names(image_path, header, band_names)
        self._nodata = [nodata] * header.count if nodata is not None else header.nodata
        self._itemsize = header.itemsize
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
        return self.height * self.width * num_bands * self._itemsize + self.label.decoded_bytes()

    def read_image(self, window: Window, bands: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the image, float32 (bands, height, width), and where no band is nodata, bool (height, width).

        Raises:
            UserError: the file can't be decoded.
        """
        raw = self._read_bands(window, list(bands))
        valid = np.ones(raw.shape[1:], dtype=bool)
        for plane, band in zip(raw, bands, strict=True):
            is_nodata = equals(plane, self._nodata[band])
            if is_nodata is not None:
                valid &= ~is_nodata
        # A double may be too large for float32 (the usual nodata is); where it is no nodata, the scan finds infinity.
        with np.errstate(over="ignore"):
            return raw.astype(np.float32), valid

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


def _names(path: Path, header: Header, names: Sequence[str] | None) -> list[str]:
    """Return the names of a raster's bands: `names`, or its descriptions."""
    if names is None:
        described = [text for text in header.descriptions if text]
        if len(described) < header.count:
            raise UserError(
                f"{path} has {header.count} bands, and {header.count - len(described)} of them have no name in the "
                "file. Name them in file order: data.band_names=[BLUE,GREEN,RED,...]."
            )
        names = described
    elif len(names) != header.count:
        raise UserError(
            f"{path} has {header.count} bands, but data.band_names has {len(names)} names ({', '.join(names)}). "
            "Name each band once, in file order."
        )
    canonical = [vocabulary.canonical(name) for name in names]
    twice = next((name for i, name in enumerate(names) if canonical[i] in canonical[:i]), None)
    if twice is not None:
        raise UserError(
            f"{path} has two bands of one name: {twice!r} in {', '.join(names)}. "
            "Write 'data.band_names=[...]' with a name of its own for each."
        )
    return list(names)
