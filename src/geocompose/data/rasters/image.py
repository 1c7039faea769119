"""An image on disk: its header checked at once, its pixels read by windows when they are asked for."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from affine import Affine

from geocompose.data.rasters.bands import BandNaming, Contradiction, places_in_file
from geocompose.data.rasters.file import RasterPath, read_bands, version_of
from geocompose.data.rasters.header import read_header
from geocompose.data.rasters.valid import check_real, valid_pixels
from geocompose.data.window import Window
from geocompose.errors import counted
from geocompose.imagery.file_values import Stored
from geocompose.imagery.units import Conversion, Values, converted

log = logging.getLogger("geocompose")


class SceneImage(ABC):
    """An image of one raster or of several on one grid: what training, evaluation and prediction read.

    path: the first raster. height, width: pixels.
    crs, transform: see `geocompose.data.rasters.header.Header`.
    band_names: of one frame. num_frames: time steps.
    conversions: what is done to the values of each band when it is read; None leaves them all as they are.
    keep_decoded: whether pixels stay in memory once they were read.
    """

    path: RasterPath
    height: int
    width: int
    crs: str | None
    transform: Affine | None
    band_names: list[str]
    num_frames: int
    conversions: Sequence[Conversion] | None
    keep_decoded: bool

    @property
    @abstractmethod
    def rasters(self) -> "Sequence[RasterImage]":
        """The rasters that it is made of."""

    @abstractmethod
    def raster_of(self, band: int) -> "RasterImage":
        """Return which raster has a band."""

    @abstractmethod
    def stored(self, band: int) -> tuple[Stored, ...]:
        """Return how a band is stored in each frame."""

    @abstractmethod
    def check_real(self, bands: Sequence[int]) -> None:
        """Refuse to read complex numbers.

        Raises:
            UserError: one of `bands` (places in `band_names`) holds them.
        """

    @abstractmethod
    def read(self, window: Window, bands: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels, float32 (bands, [frames,] height, width), and where no band is nodata, bool (height, width).

        bands: places in `band_names`.

        Raises:
            UserError: a file can't be decoded, or a band of it holds complex numbers.
        """

    @abstractmethod
    def decoded_bytes(self, num_bands: int) -> int:
        """Return the most memory that `num_bands` of it take when they are kept decoded."""


class RasterImage(SceneImage):
    """An image that is one raster.

    path: any raster that GDAL reads.
    naming: how its bands are called, and in how many frames they come.
    nodata: value of pixels without data (NaN allowed); None means what the file declares, band by band.
    declare: how a user declares a value ({}) that is nodata, for messages.
    values: what the pixels' values are, where the raster has a statement of its own (see `StackedImage`).
    added: what was added to the values of each frame, where a table or the image's date says it.
    contradiction: which bands the file calls otherwise than `naming`; None where it calls none so.

    Raises:
        UserError: the file is not a raster, has no band names, or another number of bands than names.
    """

    def __init__(
        self,
        path: RasterPath,
        naming: BandNaming,
        nodata: float | None = None,
        values: Values | None = None,
        declare: str = "data.nodata={}",
    ) -> None:
        self._version = version_of(path, anew=True)
        header = read_header(path)
        self.declare = declare
        self.path = path
        self.height, self.width, self.crs, self.transform = header.height, header.width, header.crs, header.transform
        self.num_frames = naming.num_frames
        self.band_names = naming.of(path, header)
        self.contradiction = naming.contradiction(header)
        self.values = Values() if values is None else values
        self.conversions: Sequence[Conversion] | None = None
        self.added: Sequence[float] | None = None
        self.keep_decoded = False
        self._packings = header.packings
        self._decoded: dict[int, np.ndarray] = {}
        self._nodata = header.nodata if nodata is None else [nodata] * header.count
        self._itemsize, self._dtypes = header.itemsize, header.dtypes

    @property
    def rasters(self) -> "Sequence[RasterImage]":
        """The one raster."""
        return [self]

    def raster_of(self, band: int) -> "RasterImage":
        """Return the one raster."""
        return self

    def stored(self, band: int) -> tuple[Stored, ...]:
        """Return how a band is stored in each frame."""
        added: Sequence[float | None] = [None] * self.num_frames if self.added is None else self.added
        packings = [self._packings[plane] for plane in self._planes([band])]
        return tuple(Stored(str(self.path), *one) for one in zip(packings, added, strict=True))

    def check_real(self, bands: Sequence[int]) -> None:
        """Refuse to read complex numbers, see `SceneImage`."""
        check_real(self.path, self._dtypes, self._planes(bands))

    def read(self, window: Window, bands: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels and where they are valid, see `SceneImage`."""
        self.check_real(bands)
        planes = self._planes(bands)
        stored = self._read(window, planes)
        valid = valid_pixels(stored, [self._nodata[plane] for plane in planes])
        raw = stored if isinstance(stored, np.ndarray) else np.stack(stored)
        if self.num_frames > 1:
            raw = raw.reshape(len(bands), self.num_frames, *valid.shape)
        return converted(raw, bands, self.conversions), valid

    def decoded_bytes(self, num_bands: int) -> int:
        """Return the memory that `num_bands` of it take when they are kept decoded."""
        return self.height * self.width * num_bands * self.num_frames * self._itemsize

    def __getstate__(self) -> dict[str, Any]:
        # Another process decodes for itself: pixels are slow to send.
        return self.__dict__ | {"_decoded": {}}

    def _planes(self, bands: Sequence[int]) -> list[int]:
        return places_in_file(bands, len(self.band_names), self.num_frames)

    def _read(self, window: Window, planes: list[int]) -> Sequence[np.ndarray]:
        if not self.keep_decoded:
            return read_bands(self.path, planes, window, self._version)
        missing = [plane for plane in planes if plane not in self._decoded]
        if missing:
            self._decoded.update(zip(missing, read_bands(self.path, missing, None, self._version), strict=True))
        return [self._decoded[plane][window.slices] for plane in planes]


def warn_of_contradictions(rasters: Iterable[RasterImage]) -> None:
    """Say once per kind which bands files call otherwise than is stated."""
    paths: dict[Contradiction, list[RasterPath]] = {}
    for raster in rasters:
        if raster.contradiction is not None:
            paths.setdefault(raster.contradiction, []).append(raster.path)
    for (key, bands), files in paths.items():
        pairs = ", ".join(f"{own} is read as {name}" for own, name in bands)
        more = f" and {counted(len(files) - 1, 'further file')}" if len(files) > 1 else ""
        log.warning("%s%s: the names of %s count, not the file's own: %s.", files[0], more, key, pairs)
