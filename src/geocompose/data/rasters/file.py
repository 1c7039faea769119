"""Raster files: opened once per thread, and windows of them read in the type that they are stored in."""

import os
import re
import stat
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from geocompose.data.rasters.inner import gdal_name, inner, why_not
from geocompose.data.window import Window
from geocompose.errors import UserError, nearest, shortened

RasterPath = str | Path  # a file, or text that GDAL resolves: an address, or a path into an archive

_MOST_OPEN = 64  # files a thread keeps open: some threads of it stay below the usual limit of 1024
_MOST_WATCHED = 64  # files of one raster whose state is looked at before each read: a VRT may have thousands
# GDAL's formats that only say where pixels are: other files, or addresses. Files of these say so by their names.
_LEADS_ELSEWHERE = {"VRT": (".vrt",), "WMS": (".xml", ".wms"), "WMTS": (".xml",), "WCS": (".xml", ".wcs")}
_DRIVER = re.compile(r"[A-Za-z]\w+:")  # of two letters or more: one letter is a drive of Windows

# Which files a raster consists of, and for each when it was written and how large it is.
Version = tuple[tuple[str, int, int], ...]


class _Open(NamedTuple):
    dataset: DatasetReader
    version: Version


class _OpenFiles(threading.local):
    """What this thread has opened: GDAL reads one opened file in one thread at a time.

    By process too: after a fork, the child must not read through the parent's file.
    """

    def __init__(self) -> None:
        self.known: OrderedDict[tuple[int, str], _Open] = OrderedDict()


_open_files = _OpenFiles()
_silence = threading.Lock()  # which warnings are heard is one setting of all threads


def is_local(path: RasterPath) -> bool:
    """Return whether `path` is a file's name, rather than text that GDAL resolves.

    Such are addresses, paths into an archive (`/vsizip/...`) and rasters inside a file (`NETCDF:file.nc:ndvi`).
    """
    text = str(path)
    if "://" in text or text.startswith("/vsi"):
        return False
    return not _DRIVER.match(text) or os.path.exists(text)


def opened(path: RasterPath) -> DatasetReader:
    """Return a raster opened for reading. It stays open for later calls in this thread: do not close it.

    A raster of which a file has changed is opened anew.

    Raises:
        UserError: there is no such file, it is a folder, it is not a raster, or it holds several rasters and no band.
    """
    return _current(path).dataset


def reopened(path: RasterPath) -> DatasetReader:
    """Return a raster as `opened` does, opened anew: with the files that have come to lie beside it.

    Raises:
        UserError: see `opened`.
    """
    _open_files.known.pop(_key(path), None)
    return opened(path)


def version_of(path: RasterPath, *, anew: bool = False) -> Version:
    """Return which files a raster consists of, and their state; of an address that is not known, and it is empty.

    anew: open what is not a local file again, so that a reader does not begin with what was there earlier.

    Raises:
        UserError: see `opened`.
    """
    if anew and not is_local(path):
        _open_files.known.pop(_key(path), None)
    return _current(path).version


def _key(path: RasterPath) -> tuple[int, str]:
    # A relative name means another file in another working directory.
    return os.getpid(), os.path.abspath(path) if is_local(path) else str(path)


def _current(path: RasterPath) -> _Open:
    files = _open_files.known
    key = _key(path)
    known = files.get(key)
    if known is None or _states(name for name, _, _ in known.version) != known.version:
        dataset = _open(path)
        watched = filter(None, map(file_on_disk, dataset.files[:_MOST_WATCHED]))
        known = files[key] = _Open(dataset, _states(watched))
        if len(files) > _MOST_OPEN:
            files.popitem(last=False)
    files.move_to_end(key)
    return known


def _states(files: Iterable[str]) -> Version:
    found = []
    for name in files:
        try:
            state = os.stat(name)
        except OSError:
            found.append((name, -1, -1))  # gone: opening says so
        else:
            found.append((name, state.st_mtime_ns, state.st_size))
    return tuple(found)


def file_on_disk(name: str) -> str | None:
    """Return the file that GDAL's name of a file leads to: itself, or the archive that it lies in."""
    if not name.startswith("/vsi"):
        return name if os.path.isfile(name) else None
    inner = Path(name.split("/", 2)[2])  # after `/vsizip/`, say
    return next((str(part) for part in (inner, *inner.parents) if part.is_file()), None)


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
    return f"{message} Its folder holds {shortened(beside.values(), 5) or 'nothing'}."


def check_name_is_text(path: RasterPath) -> None:
    """Refuse a file whose name is not text in UTF-8: rasterio can't open it.

    Raises:
        UserError: shows the bytes that are not as `\\udcXX`.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
        raise UserError(f"The name of {shown} is not text in UTF-8, so that it can't be opened. Rename it.") from error


def _open(path: RasterPath) -> DatasetReader:
    check_name_is_text(path)
    within = inner(path)
    if within is None and is_local(path):
        _check_is_file(Path(path))
    try:
        with _silence, warnings.catch_warnings():
            # A raster without georeference is a legitimate input: a model needs only its pixels.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            # By its full path, a file's name is never an address or the name of one of GDAL's formats (`http:/x.tif`).
            name = gdal_name(within) if within else os.path.abspath(path) if is_local(path) else path
            dataset = rasterio.open(name)
    except RasterioIOError as error:
        reason = str(error).rstrip(".")
        raise UserError(f"{path} can't be read as a raster: {reason}.{why_not(path)}") from error
    endings = _LEADS_ELSEWHERE.get(dataset.driver, ())
    if endings and is_local(path) and not str(path).lower().endswith(endings):
        driver = dataset.driver
        dataset.close()
        raise UserError(
            f"{path} is not what its name says: it is a {driver} file, which holds no pixels and says where they are. "
            f"If you trust it, give it a name that ends in {endings[0]}."
        )
    if dataset.count == 0:
        there = shortened(dataset.subdatasets, 6)
        dataset.close()
        raise UserError(
            f"{path} has no bands of its own. To read each raster in it as a band, write ':{{band}}' after its name. "
            f"Name one of the rasters that it holds: {there}"
        )
    return dataset


def _check_is_file(path: Path) -> None:
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(not_there(path, "raster")) from error
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    if is_folder:
        raise UserError(f"{path} is a folder. Name one raster file in it.")


def read_bands(
    path: RasterPath, bands: Sequence[int], window: Window | None, version: Version | None = None
) -> Sequence[np.ndarray]:
    """Return bands (counted from 0) of a file, each (height, width) in its own type; all of it without window.

    version: what the file was when its header was read.

    Raises:
        UserError: the file can't be opened, is damaged there, or has changed since.
    """
    dataset = _unchanged(path, version)
    with _explained(path, window):
        if len({dataset.dtypes[band] for band in bands}) > 1:  # as of a VRT that stacks files
            return [dataset.read(band + 1, window=_place(window)) for band in bands]
        return list(dataset.read([band + 1 for band in bands], window=_place(window)))


def read_masks(
    path: RasterPath, bands: Sequence[int], window: Window | None, version: Version | None = None
) -> Sequence[np.ndarray]:
    """Return the masks of bands (counted from 0), each uint8 (height, width): 0 where the band holds no data.

    version, Raises: see `read_bands`.
    """
    dataset = _unchanged(path, version)
    with _explained(path, window):
        return list(dataset.read_masks([band + 1 for band in bands], window=_place(window)))


def _unchanged(path: RasterPath, version: Version | None) -> DatasetReader:
    file = _current(path)
    if version is not None and file.version != version:
        raise UserError(f"{path} has changed since its header was read. Run the same command again.")
    return file.dataset


def _place(window: Window | None) -> RasterioWindow | None:
    return None if window is None else RasterioWindow(window.column, window.row, window.width, window.height)


@contextmanager
def _explained(path: RasterPath, window: Window | None) -> Iterator[None]:
    try:
        yield
    except RasterioIOError as error:
        there = "" if window is None else f" at {window.in_words}"
        raise UserError(f"{path} can't be read{there}; is it complete? {error.__cause__ or error}") from error
