"""Raster files: their headers, and windows of them in the type that they are stored in."""

import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.windows import Window as RasterioWindow

from geocompose.data.window import Window
from geocompose.errors import UserError

_MOST_OPEN = 64  # files a process keeps open, well below the usual limit of 1024
_Result = TypeVar("_Result")
_open_files: OrderedDict[tuple[int, Path, int, int], rasterio.DatasetReader] = OrderedDict()


class Header:
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
        self.dtypes: list[str] = list(dataset.dtypes)
        self.is_complex: bool = any(dtype.startswith("complex") for dtype in dataset.dtypes)
        self.itemsize = max(np.dtype(dtype).itemsize for dtype in dataset.dtypes)


def read_header(path: Path) -> Header:
    """Return the header of a raster file.

    Raises:
        UserError: it is not a raster.
    """
    return _with(path, Header)


def read_tags(path: Path) -> dict[str, str]:
    """Return the tags of a raster file, those about its imaging included.

    Raises:
        UserError: it is not a raster.
    """
    return _with(path, tags_of)


def tags_of(dataset: rasterio.DatasetReader) -> dict[str, str]:
    """Return the tags of an open raster, those about its imaging included."""
    return dataset.tags() | dataset.tags(ns="IMAGERY")


def read_bands(path: Path, bands: list[int], window: Window | None) -> np.ndarray:
    """Return bands (counted from 0) of a file in its own type, (bands, height, width); all of it without window."""
    indexes = [band + 1 for band in bands]
    place = None if window is None else RasterioWindow(window.column, window.row, window.width, window.height)
    return _with(path, lambda dataset: dataset.read(indexes, window=place))


def _with(path: Path, use: Callable[[rasterio.DatasetReader], _Result]) -> _Result:
    """Return what `use` makes of the opened file, which stays open for the next call in this process."""
    try:
        # The process is part of the key: after a fork, a file opened by the parent must not be read by the child. So is
        # the file's state: one that was replaced since, as between two runs of a sweep, must be opened anew.
        state = path.stat()
        key = os.getpid(), path, state.st_mtime_ns, state.st_size
        with warnings.catch_warnings():
            # A raster without georeference is a legitimate input here; training needs only its pixels.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            if key not in _open_files:
                _open_files[key] = rasterio.open(path)
                if len(_open_files) > _MOST_OPEN:
                    _open_files.popitem(last=False)
            _open_files.move_to_end(key)
            return use(_open_files[key])
    except (RasterioIOError, OSError) as error:
        raise UserError(
            f"{path} can't be read as a raster ({error}). Replace the file, or narrow the pattern."
        ) from error


def check_real(path: Path | str, dtypes: Sequence[str], bands: Sequence[int]) -> None:
    """Refuse to read bands (counted from 0) of complex numbers: a cast to float would keep their real part alone.

    Raises:
        UserError: names the types.
    """
    found = sorted({dtypes[band] for band in bands if dtypes[band].startswith("complex")})
    if found:
        raise UserError(
            f"{path} holds complex numbers ({', '.join(found)}). "
            "Write its amplitude or intensity to a raster of real numbers first."
        )


def equals(values: np.ndarray, nodata: float | None) -> np.ndarray | None:
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
