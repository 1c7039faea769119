"""Bands of a raster as they are stored, with where they hold no data: by value, by a mask, or by an alpha band."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from geocompose.data.rasters import nodata
from geocompose.data.rasters.file import RasterPath, Version, read_bands, read_masks
from geocompose.data.rasters.header import Header
from geocompose.data.window import Window


class Planes(NamedTuple):
    """Bands of a window, each (height, width) in its own type, and where each holds no data.

    missing: bool (height, width) per band; None where all of it is data.
    """

    values: Sequence[np.ndarray]
    missing: list[np.ndarray | None]


class StoredBands:
    """The bands of a raster. A pixel of one has data where no nodata value, no mask and no alpha band says otherwise.

    header: its header. version: what its files were when that was read.
    alpha: its bands (counted from 0) that say where all others are valid: wherever they are not 0.
    given: a nodata value that is given for all bands, beside those that the file declares.
    declared: those that count of the file's; None means all.
    keep_decoded: whether pixels stay in memory once they were read.
    remarks: what is to be said of its nodata values.
    """

    def __init__(
        self,
        path: RasterPath,
        header: Header,
        version: Version,
        alpha: Sequence[int] = (),
        given: float | None = None,
        declared: Sequence[int | float | None] | None = None,
    ) -> None:
        self.path = path
        self.keep_decoded = False
        self.remarks: list[str] = []
        self._header, self._version, self._alpha = header, version, list(alpha)
        declares = header.nodata if declared is None else declared
        self._nodata = [self._values(band, declares[band], given) for band in range(header.count)]
        self._decoded: dict[tuple[str, int], np.ndarray] = {}

    def _values(self, band: int, declared: int | float | None, given: float | None) -> tuple[int | float, ...]:
        """Return the values of a band that are nodata, and note what is to be said of them."""
        if band in self._alpha:
            return ()
        dtype, found = self._header.dtypes[band], []
        for value, what in ((declared, "the declared nodata value"), (given, "the given nodata value")):
            if value is not None:
                own = nodata.stored(value, dtype, what)
                found.append(own.values)
                self._note(own.remark)
        if len(found) == 2 and all(found) and str(found[0]) != str(found[1]):  # as text, since NaN is not NaN
            self._note(
                f"it declares nodata {declared:.10g}, and {given:.10g} is given: pixels with either hold no data."
            )
        return tuple(value for values in found for value in values)

    def _note(self, remark: str | None) -> None:
        if remark is not None and remark not in self.remarks:
            self.remarks.append(remark)

    def read(self, window: Window, bands: Sequence[int]) -> Planes:
        """Return bands (counted from 0) of a window.

        Raises:
            UserError: the file can't be decoded.
        """
        values = self._read("band", window, bands)
        masks = sorted({mask for band in bands if (mask := self._header.masks[band]) is not None})
        of_mask: dict[int | None, np.ndarray] = {
            number: mask == 0 for number, mask in zip(masks, self._read("mask", window, masks), strict=True)
        }
        for_all = nodata.united([alpha == 0 for alpha in self._read("band", window, self._alpha)])
        missing = [
            nodata.united([nodata.where(plane, self._nodata[band]), of_mask.get(self._header.masks[band]), for_all])
            for band, plane in zip(bands, values, strict=True)
        ]
        return Planes(values, missing)

    def decoded_bytes(self, num_bands: int) -> int:
        """Return the memory that `num_bands` of it, and what says where they are valid, take when kept decoded."""
        masks = len({mask for mask in self._header.masks if mask is not None})
        in_pixel = (num_bands + len(self._alpha)) * self._header.itemsize + masks
        return self._header.height * self._header.width * in_pixel

    def __getstate__(self) -> dict[str, Any]:
        # Another process decodes for itself: pixels are slow to send.
        return self.__dict__ | {"_decoded": {}}

    def _read(self, what: str, window: Window, bands: Sequence[int]) -> Sequence[np.ndarray]:
        if not bands:
            return []
        read = read_masks if what == "mask" else read_bands
        if not self.keep_decoded:
            return read(self.path, bands, window, self._version)
        missing = [band for band in bands if (what, band) not in self._decoded]
        if missing:
            keys = [(what, band) for band in missing]
            self._decoded.update(zip(keys, read(self.path, missing, None, self._version), strict=True))
        return [self._decoded[what, band][window.slices] for band in bands]


class ReadsStored:
    """An image or a label whose pixels are those of one raster."""

    _stored: StoredBands

    @property
    def keep_decoded(self) -> bool:
        """Whether pixels stay in memory once they were read."""
        return self._stored.keep_decoded

    @keep_decoded.setter
    def keep_decoded(self, keep: bool) -> None:
        self._stored.keep_decoded = keep
