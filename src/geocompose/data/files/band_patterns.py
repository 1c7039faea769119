"""Patterns with `{band}` in them: which files of equal names but for the band are one image."""

import re
from collections.abc import Iterable
from pathlib import Path

from geocompose.data.files.patterns import BAND, PARTS
from geocompose.imagery.bands import BANDS, canonical

# What stands for {band}: the name of a raster inside a file; in a file's name a band that the vocabulary knows, however
# many parts it has; else one word.
_KNOWN = sorted((name for band in BANDS.values() for name in (band.name, *band.aliases)), key=len, reverse=True)
_NAMES = (r"(?<=:)[\w/]+", f"(?i:{'|'.join(map(re.escape, _KNOWN))})", r"[^\W_]+")
_ORDER = {name: place for place, name in enumerate(BANDS)}


def one_per_band(files: Iterable[Path], root: Path, pattern: str) -> list[Path]:
    """Return the images that files under `root` are the bands of, sorted.

    pattern: glob pattern relative to `root` with `{band}` in it. Files of equal names but for the band are one image.
    """
    bands: dict[str, list[str]] = {}
    for path in dict.fromkeys(files):
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
