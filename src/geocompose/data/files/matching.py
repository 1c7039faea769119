"""Images under a folder that a pattern names: files, files of one band each, and rasters inside files."""

import glob
import re
from collections.abc import Collection
from pathlib import Path

from rasterio.errors import RasterioIOError

from geocompose.data.files.band_patterns import one_per_band
from geocompose.data.files.patterns import BAND, plain
from geocompose.data.rasters.inner import inside
from geocompose.errors import UserError

_INSIDE = re.compile(r"(?P<file>[^:]*\.\w+):(?P<inner>[^:]+)")


def matching(root: Path, pattern: str, without: Collection[Path] = ()) -> list[Path]:
    """Return the images under `root` that the glob `pattern` matches, sorted; hidden files are left out.

    Where the pattern has `{band}`, each band of an image is a file: see `geocompose.data.files.band_files`. What comes
    after the file's name and a colon is a raster inside it: `*.nc:ndvi`, `*.nc:{band}`.
    without: files that don't count.

    Raises:
        UserError: a file of which the rasters inside are wanted is not a raster.
    """
    pattern = plain(pattern)
    files = _files(root, pattern.replace(BAND, "*"))
    within = _INSIDE.fullmatch(pattern)
    if not files and within:
        inner = within["inner"].strip("/")
        files = [
            Path(f"{file}:{name}")
            for file in _files(root, within["file"])
            for name in (_names_inside(file) if BAND in inner else [inner])
        ]
    files = [path for path in files if path not in without]
    return one_per_band(files, root, pattern) if BAND in pattern else files


def _files(root: Path, pattern: str) -> list[Path]:
    # A pattern with several ** finds a file several times.
    found = sorted(set(glob.glob(pattern, root_dir=root, recursive=True)))
    return [path for path in (root / name for name in found) if path.is_file()]


def _names_inside(file: Path) -> list[str]:
    try:
        return list(inside(file))
    except RasterioIOError as error:
        raise UserError(f"{file} can't be read as a raster: {error}. Is it complete?") from error
