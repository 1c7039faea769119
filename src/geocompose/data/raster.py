"""Scenes that are rasters on disk: headers checked at once, pixels read by windows when they are asked for."""

import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.windows import Window as RasterioWindow

from geocompose import bands as vocabulary
from geocompose.data.window import Window
from geocompose.errors import UserError

_MOST_OPEN = 64  # files a process keeps open, well below the usual limit of 1024
_Result = TypeVar("_Result")
_SHIFT_TOLERANCE_PX = 0.1
_open_files: OrderedDict[tuple[int, Path], rasterio.DatasetReader] = OrderedDict()


class RasterScene:
    """An image raster and its label raster.

    name: how errors and records call it.
    image_path, label_path: any raster that GDAL reads; the label has one band.
    class_names: the label's values are places in this list.
    ignore_index: stands in what `read_label` returns for pixels without label.
    band_names: names of the image's bands in file order; None means the file's own descriptions.
    nodata: the image's nodata value (NaN allowed); None means what the file declares, band by band.
    label_nodata: the label's value for "not labelled" beside ignore_index; None means what the file declares.

    Raises:
        UserError: a file is no raster, has no band names, or another number of bands than names; the label has another
        size or place than the image, or declares a nodata value that is also a class.
    """

    def __init__(
        self,
        name: str,
        image_path: Path,
        label_path: Path,
        class_names: Sequence[str],
        ignore_index: int = -1,
        band_names: Sequence[str] | None = None,
        nodata: float | None = None,
        label_nodata: float | None = None,
    ) -> None:
        self.image_path = image_path
        self.label_path = label_path
        self.name = name
        self.ignore_index = ignore_index
        self.keep_decoded = False
        self._image_bands: dict[int, np.ndarray] = {}
        self._label: np.ndarray | None = None

        image = _header(image_path)
        label = _header(label_path)
        self.height, self.width, self.crs, self.transform = image.height, image.width, image.crs, image.transform
        self.band_names = _names(image_path, image, band_names)
        self._nodata = [nodata] * image.count if nodata is not None else image.nodata
        self._itemsize, self._label_itemsize = image.itemsize, label.itemsize
        _check_alike(image_path, image, label_path, label)
        declared = label.nodata[0]
        if label_nodata is None and declared is not None and declared in range(len(class_names)):
            raise UserError(
                f"{label_path} declares nodata {declared:g}, which is also the class {class_names[int(declared)]!r}. "
                f"Set data.label_nodata={declared:g} if it means unlabelled, or data.label_nodata={ignore_index} if it "
                "is that class."
            )
        self._label_nodata = declared if label_nodata is None else label_nodata

    def decoded_bytes(self, num_bands: int) -> int:
        """Return the memory that `num_bands` of the image and the label take when they are kept decoded."""
        return self.height * self.width * (num_bands * self._itemsize + self._label_itemsize)

    def read_image(self, window: Window, bands: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the image, float32 (bands, height, width), and where no band is nodata, bool (height, width).

        Raises:
            UserError: the file can't be decoded.
        """
        raw = self._read_bands(window, list(bands))
        valid = np.ones(raw.shape[1:], dtype=bool)
        for plane, band in zip(raw, bands, strict=True):
            is_nodata = _equals(plane, self._nodata[band])
            if is_nodata is not None:
                valid &= ~is_nodata
        # A double may be too large for float32 (the usual nodata is); where it is no nodata, the scan finds infinity.
        with np.errstate(over="ignore"):
            return raw.astype(np.float32), valid

    def read_label(self, window: Window) -> np.ndarray:
        """Return the classes, int64 (height, width), with ignore_index where the label is nodata.

        Raises:
            UserError: the file can't be decoded, or a value is not a whole number.
        """
        if self.keep_decoded:
            if self._label is None:
                self._label = _read(self.label_path, [0], None)[0]
            raw = self._label[window.slices]
        else:
            raw = _read(self.label_path, [0], window)[0]
        unlabelled = _equals(raw, self._label_nodata)
        if np.issubdtype(raw.dtype, np.floating):
            whole = np.isfinite(raw) & (np.floor(raw) == raw)
            wrong = np.argwhere(~whole if unlabelled is None else ~whole & ~unlabelled)
            if len(wrong):
                row, column = wrong[0]
                raise UserError(
                    f"{self.label_path} has the value {raw[row, column]} at row {window.row + row}, column "
                    f"{window.column + column}: a label holds whole numbers, one a class. "
                    "If it marks unlabelled pixels, set data.label_nodata to it."
                )
            raw = np.where(whole, raw, self.ignore_index)
        label = raw.astype(np.int64)
        if unlabelled is not None:
            label[unlabelled] = self.ignore_index
        return label

    def __getstate__(self) -> dict[str, Any]:
        # Another process decodes for itself: pixels are slow to send.
        return self.__dict__ | {"_image_bands": {}, "_label": None}

    def _read_bands(self, window: Window, bands: list[int]) -> np.ndarray:
        if not self.keep_decoded:
            return _read(self.image_path, bands, window)
        missing = [band for band in bands if band not in self._image_bands]
        if missing:
            self._image_bands.update(zip(missing, _read(self.image_path, missing, None), strict=True))
        rows, columns = window.slices
        return np.stack([self._image_bands[band][rows, columns] for band in bands])


class _Header:
    """What a raster says of itself."""

    def __init__(self, dataset: rasterio.DatasetReader) -> None:
        self.height: int = dataset.height
        self.width: int = dataset.width
        self.count: int = dataset.count
        self.crs: str | None = dataset.crs.to_string() if dataset.crs else None
        # GDAL says "identity" where a file has no georeference.
        self.transform: Affine | None = None if dataset.transform == Affine.identity() else dataset.transform
        self.nodata: list[float | None] = list(dataset.nodatavals)
        self.descriptions: list[str | None] = list(dataset.descriptions)
        self.itemsize = max(np.dtype(dtype).itemsize for dtype in dataset.dtypes)


def _header(path: Path) -> _Header:
    return _with(path, _Header)


def _read(path: Path, bands: list[int], window: Window | None) -> np.ndarray:
    """Return bands (counted from 0) of a file in its own type, (bands, height, width); all of it without window."""
    indexes = [band + 1 for band in bands]
    place = None if window is None else RasterioWindow(window.column, window.row, window.width, window.height)
    return _with(path, lambda dataset: dataset.read(indexes, window=place))


def _with(path: Path, use: Callable[[rasterio.DatasetReader], _Result]) -> _Result:
    """Return what `use` makes of the opened file, which stays open for the next call in this process."""
    # The process is part of the key: after a fork, a file opened by the parent must not be read by the child.
    key = os.getpid(), path
    try:
        with warnings.catch_warnings():
            # A raster without georeference is a legitimate input here; training needs only its pixels.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            if key not in _open_files:
                _open_files[key] = rasterio.open(path)
                if len(_open_files) > _MOST_OPEN:
                    _open_files.popitem(last=False)
            _open_files.move_to_end(key)
            return use(_open_files[key])
    except RasterioIOError as error:
        raise UserError(
            f"{path} can't be read as a raster ({error}). Replace the file, or narrow the pattern."
        ) from error


def _names(path: Path, header: _Header, names: Sequence[str] | None) -> list[str]:
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
            "Write data.band_names=[...] with a name of its own for each."
        )
    return list(names)


def _check_alike(image_path: Path, image: _Header, label_path: Path, label: _Header) -> None:
    """Refuse a label that does not lie on its image's pixels."""
    if label.count != 1:
        raise UserError(
            f"{label_path} has {label.count} bands; a label has one. Is data.labels the pattern of the images?"
        )
    if (image.height, image.width) != (label.height, label.width):
        raise UserError(
            f"The label {label_path} has {label.height} x {label.width} pixels (rows x columns), its image "
            f"{image_path} {image.height} x {image.width}. They must be equal: resample the label onto the image's "
            f"grid."
        )
    if image.crs and label.crs and rasterio.CRS.from_user_input(image.crs) != rasterio.CRS.from_user_input(label.crs):
        raise UserError(
            f"The label {label_path} is in {label.crs}, its image {image_path} in {image.crs}. "
            "Reproject the label onto the image's grid."
        )
    if image.transform is None or label.transform is None:
        return
    corners = [(0, 0), (image.width, 0), (0, image.height), (image.width, image.height)]
    shift = max(_distance_px(image.transform, label.transform, *corner) for corner in corners)
    if shift > _SHIFT_TOLERANCE_PX:
        raise UserError(
            f"The label {label_path} lies up to {shift:.3g} pixels beside its image {image_path} by their "
            "georeferences. Resample the label onto the image's grid, or mend the georeference that is wrong."
        )


def _distance_px(image: Affine, label: Affine, column: int, row: int) -> float:
    """Return how far the same pixel corner of image and label lie from each other, in pixels of the image."""
    # Spelt out because affine 2 multiplies with *, and affine 3 with @.
    x = (label.a - image.a) * column + (label.b - image.b) * row + label.c - image.c
    y = (label.d - image.d) * column + (label.e - image.e) * row + label.f - image.f
    inverse = ~image
    return max(abs(inverse.a * x + inverse.b * y), abs(inverse.d * x + inverse.e * y))


def _equals(values: np.ndarray, nodata: float | None) -> np.ndarray | None:
    """Return where `values` are `nodata` (NaN included), or None where they can't be."""
    if nodata is None:
        return None
    if np.isnan(nodata):
        return np.isnan(values) if np.issubdtype(values.dtype, np.floating) else None
    if np.issubdtype(values.dtype, np.floating):
        # A file declares nodata as a double; in a float32 raster its pixels hold the nearest float32.
        with np.errstate(over="ignore"):
            return values == values.dtype.type(nodata)
    return values == nodata
