"""Rasters inside a file: `cube.nc:BLUE` is the variable BLUE of a NetCDF file, and other formats have such as well."""

import os
import re
import warnings
from pathlib import Path
from typing import NamedTuple

import rasterio
from rasterio.errors import NotGeoreferencedWarning

from geocompose.data.files.patterns import plain
from geocompose.errors import UserError, shortened

_ARCHIVE = re.compile(r"\.(zip|tar|tgz|tar\.gz|7z|rar|gz)$", re.IGNORECASE)
_HDF4 = b"\x0e\x03\x13\x01"  # the first bytes of such a file


class Inner(NamedTuple):
    """A raster inside a file: the file, and the raster's name in it."""

    file: str
    name: str


def inner(path: str | Path) -> Inner | None:
    """Return which raster of which file a path names; None where it names a file, or nothing that is there."""
    text = str(path)
    if os.path.exists(text) or "://" in text:
        return None
    for colon in re.finditer(":", text):
        if os.path.isfile(text[: colon.start()]):
            return Inner(text[: colon.start()], text[colon.end() :].strip('":/'))
    return None


def inside(file: str | Path) -> dict[str, str]:
    """Return the rasters inside a file by their names, as GDAL calls them; none where it has bands of its own.

    Raises:
        RasterioIOError: it is not a raster.
    """
    # By its full path, a file's name is never an address or the name of one of GDAL's formats.
    whole = os.path.abspath(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(whole) as dataset:
            if not dataset.subdatasets:
                variable = dataset.tags(1).get("NETCDF_VARNAME") if dataset.count else None
                return {variable: whole} if variable else {}
            return {name.split(whole, 1)[-1].strip('":/'): name for name in dataset.subdatasets}


def gdal_name(found: Inner) -> str:
    """Return how GDAL calls a raster inside a file.

    Raises:
        UserError: there is no such raster in its file.
        RasterioIOError: its file is not a raster.
    """
    there = inside(found.file)
    if found.name not in there:
        holds = f"It holds: {shortened(there, 6)}." if there else "It has none inside: leave the part after ':' out."
        raise UserError(f"{found.file} has no raster {found.name!r} in it. {holds}")
    return there[found.name]


def why_not(path: str | Path) -> str:
    """Return what else may be said of a path that GDAL can't open; empty where nothing can."""
    text, version = str(path), rasterio.__gdal_version__
    driver = text.partition(":")[0]
    if plain(text) != text and not _has_driver(driver):
        return f" The GDAL of this rasterio ({version}) has no driver {driver}."
    if _ARCHIVE.search(text):
        within = text if text.startswith("/vsi") else f"/vsi{_handler(text)}/{text}"
        return f" It is an archive: unpack it, or name the raster in it, such as {within}/NAME.tif for a prediction."
    if os.path.isfile(text):
        with open(text, "rb") as file:
            if file.read(4) == _HDF4 and not _has_driver("HDF4"):
                return f" It is HDF4, which the GDAL of this rasterio ({version}) can't read: convert it to GeoTIFF."
    return " Is it complete?"


def _handler(archive: str) -> str:
    """Return what GDAL calls the kind of an archive in a path."""
    name = archive.lower()
    return "tar" if name.endswith((".tar", ".tgz", ".tar.gz")) else "gzip" if name.endswith(".gz") else "zip"


def _has_driver(prefix: str) -> bool:
    with rasterio.Env() as environment:
        known = {name.casefold() for name in environment.drivers()}
    return prefix.casefold() in known or prefix.casefold().partition("_")[0] in known
