"""Which images a prediction of images is asked for: one raster, those of a folder, or those that a pattern matches."""

import glob
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from geocompose.data.files.band_files import of_bands, shown
from geocompose.data.files.matching import matching
from geocompose.data.rasters.file import is_local, not_there
from geocompose.data.rasters.inner import inner
from geocompose.errors import UserError


class ImageFile(NamedTuple):
    """An image to predict: its name in the table, and where it lies."""

    name: str
    path: str


def list_images(given: str) -> list[ImageFile]:
    """Return the images that `given` names, sorted by name; opens none of them.

    given: a raster, or several of one band each (`s0_{band}.tif`); a folder, of which every .tif and .tiff is taken,
        those of folders in it too; or a pattern, such as `scenes/**/*.jp2` (`**/` means any folder, `*` and `?` any
        letters), of which every file is taken. A name is relative to the folder, or to the part of the pattern before
        its first wildcard.

    Raises:
        UserError: there is no such file or folder, or no image in it.
    """
    path = Path(given).expanduser()
    if not is_local(given):
        return [ImageFile(given, given)]
    if path.is_file() or ((of_bands(path) or inner(path)) and not glob.has_magic(given)):
        return [ImageFile(shown(path), str(path))]
    if path.is_dir():
        rasters = (file for ending in ("tif", "tiff") for file in matching(path, f"**/*.{_any_case(ending)}"))
        found = _named(path, rasters)
        if not found:
            raise UserError(
                f"action.input={given}: this folder holds no .tif or .tiff. Write a pattern for other rasters, such as "
                f"action.input='{path}/**/*.jp2'."
            )
        return found
    if not glob.has_magic(given):
        raise UserError(f"action.input: {not_there(path, 'raster or folder')}")
    fixed = list(itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
    folder = Path(*fixed)
    if not folder.is_dir():
        raise UserError(f"action.input={given}: there is no folder {folder}.")
    found = _named(folder, matching(folder, str(Path(*path.parts[len(fixed) :]))))
    if not found:
        raise UserError(f"action.input={given} matches no file. Quote the pattern, and check it against {folder}.")
    return found


def _named(folder: Path, files: Iterable[Path]) -> list[ImageFile]:
    return sorted({ImageFile(shown(file, folder), str(file)) for file in files})


def _any_case(ending: str) -> str:
    return "".join(f"[{letter}{letter.upper()}]" for letter in ending)
