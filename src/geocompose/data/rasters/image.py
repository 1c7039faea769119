"""An image on disk: its header checked at once, its pixels read by windows when they are asked for."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from affine import Affine

from geocompose.data.planes import Planes
from geocompose.data.rasters import nodata as missing_data
from geocompose.data.rasters.bands import BandNaming, places_in_file
from geocompose.data.rasters.file import RasterPath, version_of
from geocompose.data.rasters.header import Header, read_header
from geocompose.data.rasters.stored import ReadsStored, StoredBands
from geocompose.data.rasters.valid import check_real
from geocompose.data.window import Region, Window, grid
from geocompose.imagery.file_values import Stored
from geocompose.imagery.units import Conversion, Values, conversions_of

_CELL_PX = 1024


class SceneImage(ABC):
    """An image of one raster or of several on one grid: what training, evaluation and prediction read.

    path: the first raster. height, width: pixels.
    crs, transform: see `geocompose.data.rasters.header.Header`.
    band_names: of one frame. num_frames: time steps.
    conversions: what is done to the values of each band when it is read; None leaves them all as they are.
    keep_decoded: whether pixels stay in memory once they were read.
    masks_frames: whether frames without any data are passed over, so that a pixel counts that has data in the others.
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
    masks_frames: bool = False

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

    def read(self, window: Window, bands: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels, float32 (bands, [frames,] height, width), and where no band is nodata, bool (height, width).

        bands: places in `band_names`.

        Raises:
            UserError: a file can't be decoded, or a band of it holds complex numbers.
        """
        planes = self.read_planes(window, bands)
        return planes.image(), planes.valid

    def read_planes(self, window: Window, bands: Sequence[int]) -> Planes:
        """Return the same as it is stored.

        Raises:
            UserError: see `read`; conversions are refused where their values are asked for.
        """
        stored, there = self.read_frames(window, bands)
        if len(there) == 1:
            valid = there[0]
        else:
            absent = self.absent_frames(bands) if self.masks_frames else ()
            valid = np.asarray(np.delete(there, absent, 0).all(0))
        conversions = conversions_of(bands, self.conversions, self.num_frames)
        return Planes(stored, conversions, valid, self.num_frames if self.num_frames > 1 else None)

    @abstractmethod
    def read_frames(self, window: Window, bands: Sequence[int]) -> tuple[Sequence[np.ndarray], np.ndarray]:
        """Return planes as they are stored, the frames of the first band first, and where each frame has data.

        That is bool (frames, height, width).
        """

    def absent_frames(self, bands: Sequence[int]) -> tuple[int, ...]:
        """Return which frames (from 0) have no data anywhere in the image; none where that is true of all of them.

        A frame has data where none of `bands` is nodata. Reading ends as soon as every frame has some.
        """
        if self.num_frames == 1:
            return ()
        known = self.__dict__.setdefault("_absent", {})
        key = tuple(bands)
        if key not in known:
            shown = np.zeros(self.num_frames, dtype=bool)
            whole = Region(0, Window(0, 0, self.height, self.width))
            for _, window in grid(whole, _CELL_PX):
                shown |= self.read_frames(window, bands)[1].any((1, 2))
                if shown.all():
                    break
            known[key] = tuple(np.flatnonzero(~shown).tolist()) if shown.any() else ()
        found: tuple[int, ...] = known[key]
        return found

    @abstractmethod
    def decoded_bytes(self, num_bands: int) -> int:
        """Return the most memory that `num_bands` of it take when they are kept decoded."""


class RasterImage(ReadsStored, SceneImage):
    """An image that is one raster.

    path: any raster that GDAL reads.
    naming: how its bands are called, and in how many frames they come.
    nodata: value of pixels without data (NaN allowed), beside those that the file declares, band by band, its masks and
        its alpha band.
    declare: how a user declares a value ({}) that is nodata, for messages.
    values: what the pixels' values are, where the raster has a statement of its own (see `StackedImage`); it is then a
        further one beside the data's (`is_further`).
    added: what was added to the values of each frame, where a table or the image's date says it.
    remarks: what is to be said of it: see `geocompose.data.rasters.remarks`.

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
        version = version_of(path, anew=True)
        header = read_header(path)
        self.declare = declare
        self.path = path
        self.height, self.width, self.crs, self.transform = header.height, header.width, header.crs, header.transform
        self.num_frames = naming.num_frames
        named = naming.of(path, header)
        self.band_names, self._in_file = named.names, named.bands
        self.values = Values() if values is None else values
        self.is_further = values is not None
        self.conversions: Sequence[Conversion] | None = None
        self.added: Sequence[float] | None = None
        self._packings = header.packings
        self._stored = StoredBands(path, header, version, named.alpha, nodata)
        self._dtypes = header.dtypes
        indexed = _indexed(header, named.bands)
        self.remarks = [*header.remarks, *named.remarks, *indexed, *self._stored.remarks]

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

    def read_frames(self, window: Window, bands: Sequence[int]) -> tuple[Sequence[np.ndarray], np.ndarray]:
        """Return planes and where each frame has data, see `SceneImage`."""
        self.check_real(bands)
        stored, missing = self._stored.read(window, self._planes(bands))
        there = np.ones((self.num_frames, *stored[0].shape), dtype=bool)
        for frame in range(self.num_frames):
            invalid = missing_data.united(missing[frame :: self.num_frames])
            if invalid is not None:
                np.logical_not(invalid, out=there[frame])
        return stored, there

    def decoded_bytes(self, num_bands: int) -> int:
        """Return the memory that `num_bands` of it take when they are kept decoded."""
        return self._stored.decoded_bytes(num_bands * self.num_frames)

    def _planes(self, bands: Sequence[int]) -> list[int]:
        """Return the places in the file of some bands in all frames."""
        places = places_in_file(bands, len(self.band_names), self.num_frames)
        return [self._in_file[place] for place in places]


def _indexed(header: Header, bands: Sequence[int]) -> list[str]:
    """Return what is to be said of bands (places in the file) that hold places in a colour table."""
    found = [str(band + 1) for band in bands if band in header.indexed]
    if not found:
        return []
    what = f"band {found[0]} has" if len(found) == 1 else f"bands {', '.join(found)} have"
    return [
        f"{what} a colour table, and is read as its indices, which are not colours. To have colours, convert the file "
        "first: gdal_translate -expand rgb."
    ]
