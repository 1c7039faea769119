"""Raster files: opened once per process, and windows of them read in the type that they are stored in."""

import os
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from geocompose.data.window import Window
from geocompose.errors import UserError, nearest, shortened

RasterPath = str | Path  # a file, or text that GDAL resolves: an address, or a path into an archive

_MOST_OPEN = 64  # files a process keeps open, well below the usual limit of 1024
_open_files: OrderedDict[tuple[int, str, int, int], DatasetReader] = OrderedDict()


def is_local(path: RasterPath) -> bool:
    """Return whether `path` is a file's name, rather than an address or a path into an archive that GDAL resolves."""
    return "://" not in str(path) and not str(path).startswith("/vsi")


def opened(path: RasterPath) -> DatasetReader:
    """Return a raster opened for reading. It stays open for later calls in this process: do not close it.

    Raises:
        UserError: there is no such file, it is a folder, it is not a raster, or it holds several rasters and no band.
    """
    key = os.getpid(), str(path), *_state(path)
    if key not in _open_files:
        _open_files[key] = _open(path)
        if len(_open_files) > _MOST_OPEN:
            _open_files.popitem(last=False)
    _open_files.move_to_end(key)
    return _open_files[key]


def _state(path: RasterPath) -> tuple[int, int]:
    """Return what changes when a file is replaced, as between two runs of a sweep: it is then opened anew.

    The process is part of the key for another reason: after a fork, the child must not read through the parent's file.
    """
    if not is_local(path):
        return 0, 0
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(not_there(Path(path), "raster")) from error
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    return found.st_mtime_ns, found.st_size


def not_there(path: Path, what: str) -> str:
    """Return the answer to the name of a file that does not exist: the nearest one, or what its folder holds.

    what: what it should be, such as `raster`.
    """
    message = f"There is no {what} {path}."
    if not path.parent.is_dir():
        return f"{message} Its folder {path.parent} doesn't exist either."
    # Without endings, which all of them share.
    beside = {Path(name).stem: name for name in sorted(os.listdir(path.parent))}
    guess = nearest(path.stem, beside)
    if guess:
        return f"{message} Did you mean {path.parent / beside[guess]}?"
    return (
        f"{message} Its folder holds {shortened(beside.values(), 5)}." if beside else f"{message} Its folder is empty."
    )


def _open(path: RasterPath) -> DatasetReader:
    if is_local(path) and Path(path).is_dir():
        raise UserError(f"{path} is a folder. Name one raster file in it.")
    try:
        with warnings.catch_warnings():
            # A raster without georeference is a legitimate input: a model needs only its pixels.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(path)
    except RasterioIOError as error:
        raise UserError(f"{path} can't be read as a raster: {error}. Replace the file, or leave it out.") from error
    if dataset.count == 0:
        inner = shortened(dataset.subdatasets, 6)
        dataset.close()
        raise UserError(f"{path} has no bands of its own. Name one of the rasters that it holds: {inner}")
    return dataset


def read_bands(path: RasterPath, bands: list[int], window: Window | None) -> np.ndarray:
    """Return bands (counted from 0) of a file in its own type, (bands, height, width); all of it without window.

    Raises:
        UserError: the file can't be opened, or is damaged there.
    """
    dataset = opened(path)
    place = None if window is None else RasterioWindow(window.column, window.row, window.width, window.height)
    try:
        return dataset.read([band + 1 for band in bands], window=place)
    except RasterioIOError as error:
        there = "" if window is None else f" at {window.in_words}"
        raise UserError(f"{path} can't be read{there}; is it complete? {error.__cause__ or error}") from error
