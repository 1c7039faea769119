"""Images of which each band is a file: `s0_B02.tif`, `s0_B03.tif`, ... are one image, `s0_{B02,B03}.tif`.

Such an image's path names its bands in braces, in their order. `s0_{band}.tif` stands for all bands that are there.
"""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from geocompose.data.files.patterns import BAND, PARTS
from geocompose.errors import UserError
from geocompose.imagery.bands import BANDS, canonical

_BRACES = re.compile(r"\{([^{}/]+)\}")
# A band's name in a file's name: one that the vocabulary knows, however many parts it has; else one word.
_KNOWN = sorted((name for band in BANDS.values() for name in (band.name, *band.aliases)), key=len, reverse=True)
_NAMES = (f"(?i:{'|'.join(map(re.escape, _KNOWN))})", r"[^\W_]+")
_ORDER = {name: place for place, name in enumerate(BANDS)}


def of_bands(path: str | Path) -> bool:
    """Return whether a path stands for an image of one file per band, rather than for a file."""
    return _BRACES.search(str(path)) is not None and not os.path.exists(path)


def one_per_band(files: Iterable[Path], root: Path, pattern: str) -> list[Path]:
    """Return the images that files under `root` are the bands of, sorted.

    pattern: glob pattern relative to `root` with `{band}` in it. Files of equal names but for the band are one image.
    """
    bands: dict[str, list[str]] = {}
    for path in files:
        matched = _matched(pattern, path.relative_to(root).as_posix())
        if matched is not None:
            image, band = matched
            bands.setdefault(image, []).append(band)
    return sorted(
        root / image.replace(BAND, f"{{{','.join(sorted(names, key=_place))}}}") for image, names in bands.items()
    )


def _matched(pattern: str, relative: str) -> tuple[str, str] | None:
    """Return a file's name with `{band}` in place of its band, and the band; None where the pattern has none there."""
    for names in _NAMES:
        expression, times = "", 0
        for level in pattern.split("/"):
            if level == "**":
                expression += "(?:[^/]+/)*"
                continue
            for part in PARTS.findall(level):
                if part == BAND:
                    expression += f"(?P<b{times}>{names})" if not times else f"(?P<b{times}>(?P=b0))"
                    times += 1
                else:
                    special = {"*": "[^/]*", "**": "[^/]*", "?": "[^/]"}
                    a_set = part.startswith("[") and len(part) > 1
                    expression += special.get(part) or (part.replace("[!", "[^", 1) if a_set else re.escape(part))
            expression += "/"
        found = re.fullmatch(expression.removesuffix("/"), relative)
        if found:
            image = relative
            for number in reversed(range(times)):
                image = image[: found.start(f"b{number}")] + BAND + image[found.end(f"b{number}") :]
            return image, found["b0"]
    return None


def _place(band: str) -> tuple[int, list[tuple[int, str]]]:
    """Return where a band comes in an image: in the vocabulary's order; others behind, B2 before B10."""
    numbers = [(int(part or -1), text) for text, part in re.findall(r"(\D*)(\d*)", band)]
    return _ORDER.get(canonical(band), len(_ORDER)), numbers


def band_files(path: str | Path) -> dict[str, Path]:
    """Return the files of an image of one file per band, by their bands' names in order; none where it is a file.

    Raises:
        UserError: there are no such files.
    """
    if not of_bands(path):
        return {}
    text = str(Path(path))
    if BAND in text:
        text = str(_found(text))
    names = _BRACES.findall(text)[0].split(",")
    before, after = _BRACES.split(text)[0], _BRACES.split(text)[2::2]
    return {name: Path(name.join([before, *after])) for name in names}


def _found(text: str) -> Path:
    """Return the image of all band files that `{band}` stands for."""
    root = Path(text.partition(BAND)[0] + "_").parent
    inner = text if root == Path(".") else str(Path(text).relative_to(root))
    pattern = BAND.join(map(glob.escape, inner.split(BAND)))
    files = [root / found for found in sorted(glob.glob(pattern.replace(BAND, "*"), root_dir=root))]
    images = one_per_band([file for file in files if file.is_file()], root, pattern)
    if not images:
        raise UserError(
            f"There is no raster {text}, where {BAND} is the name of a band, such as B04 or RED. Check the rest of it."
        )
    return images[0]


def real_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files of images, whether they are one or one per band."""
    return [file for path in paths for file in (band_files(path).values() or [path])]


def shown(name: str) -> str:
    """Return an image's name as messages and records have it: `s0_{band}.tif`."""
    return _BRACES.sub(lambda _: BAND, name)


def short_names(name: str) -> Sequence[str]:
    """Return by which further names lists may call an image: `s0_{band}.tif` by `s0.tif` and `s0`."""
    if BAND not in name:
        return []
    whole, dot, ending = name.rpartition(".")
    kept = re.sub(r"[_\-. /]?\{band\}", "", whole if dot else name).strip("_-. /")
    return [kept, f"{kept}.{ending}"] if kept and dot else [kept] if kept else []
