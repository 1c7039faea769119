"""Images of which each band is a file: `s0_B02.tif`, `s0_B03.tif`, ... are one image, `s0_{B02,B03}.tif`.

Such an image's path names its bands in braces, in their order. `s0_{band}.tif` stands for all bands that are there.
"""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from geocompose.data.files.matching import matching
from geocompose.data.files.patterns import BAND, plain
from geocompose.data.rasters.inner import inner
from geocompose.errors import UserError

_BRACES = re.compile(r"\{([^{}/]+)\}")


def of_bands(path: str | Path) -> bool:
    """Return whether a path stands for an image of one file per band, rather than for a file."""
    return _BRACES.search(str(path)) is not None and not os.path.exists(path)


def band_files(path: str | Path) -> dict[str, Path]:
    """Return the files of an image of one file per band, by their bands' names in order; none where it is a file.

    Raises:
        UserError: there are no such files.
    """
    if not of_bands(path):
        return {}
    text = plain(str(path)) if inner(plain(str(path))) else str(Path(path))
    if BAND in text:
        text = str(_found(text))
    names = _BRACES.findall(text)[-1]  # a folder above may have braces in its name
    return {name: Path(text.replace(f"{{{names}}}", name)) for name in names.split(",")}


def _found(text: str) -> Path:
    """Return the image of all band files that `{band}` stands for."""
    root = Path(text.partition(BAND)[0] + "_").parent
    within = text if root == Path(".") else str(Path(text).relative_to(root))
    images = matching(root, BAND.join(map(glob.escape, within.split(BAND))))
    if not images:
        raise UserError(
            f"There is no raster {text}, where {BAND} is the name of a band, such as B04 or RED. Check the rest of it."
        )
    return images[0]


def rasters_of(paths: Iterable[Path]) -> list[Path]:
    """Return the rasters of images: one, or one per band."""
    return [file for path in paths for file in (band_files(path).values() or [path])]


def real_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files of images, each once, whether an image is one, one per band, or inside one."""
    return list(dict.fromkeys(Path(found.file) if (found := inner(path)) else path for path in rasters_of(paths)))


def shown(path: Path, folder: Path | None = None) -> str:
    """Return an image's name as messages and records have it, such as `s0_{band}.tif`.

    folder: what the name is relative to; None means the image's own.
    """
    name = path.name if folder is None else path.relative_to(folder).as_posix()
    braces = _BRACES.findall(name)
    return name.replace(f"{{{braces[-1]}}}", BAND) if braces and of_bands(path) else name


def short_names(name: str) -> Sequence[str]:
    """Return by which further names lists may call an image: `s0_{band}.tif` by `s0.tif` and `s0`."""
    if BAND not in name:
        return []
    if name.endswith(f":{BAND}"):
        name = name.removesuffix(f":{BAND}")
        return [name, name.rpartition(".")[0]]
    whole, dot, ending = name.rpartition(".")
    kept = re.sub(r"[_\-. /]?\{band\}", "", whole if dot else name).strip("_-. /")
    return [kept, f"{kept}.{ending}"] if kept and dot else [kept] if kept else []
