"""Further rasters of each image, on its grid: how a configuration names them, and which file belongs to which image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from geocompose.data.files.file_names import SHOWN, match_files
from geocompose.data.files.patterns import key_of, whole_key_of
from geocompose.errors import UserError, choices, shortened
from geocompose.imagery.units import Values

_OF_VALUES = ("unit", "level", "offset", "scale", "scale_tags")


@dataclass(frozen=True)
class MoreImages:
    """A further raster of each image.

    images: pattern relative to the data set's folder; what `*` matches in the names pairs it with its image.
    band_names: its bands in file order; None means the names that the files carry.
    nodata: value of pixels without data (NaN allowed), beside what each file says itself.
    values: what its values are, as far as that is stated: keys unit, level, offset, scale and scale_tags, as those of
        the data.
    """

    images: str
    band_names: list[str] | None = None
    nodata: float | None = None
    values: Values = field(default_factory=Values)


def read_more(given: Sequence[Mapping[str, Any]] | None) -> list[MoreImages]:
    """Return what `data.more_images` says.

    Raises:
        UserError: an entry has another key, no pattern, or a value of another kind.
    """
    known = ["images", "band_names", "nodata", *_OF_VALUES]
    found = []
    for number, entry in enumerate(given or ()):
        where = f"data.more_images[{number}]"
        for key in entry:
            if key not in known:
                raise UserError(f"{where} has no key {key!r}. {choices(key, known)}")
        images, names, nodata = (entry.get(key) for key in known[:3])
        if not isinstance(images, str):
            raise UserError(f"{where}.images is a pattern such as '*_S1Hand.tif'; got {images!r}.")
        if names is not None and not (isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)):
            raise UserError(f"{where}.band_names is a list of names such as [VV, VH], or null; got {names!r}.")
        if not _is_number(nodata):
            raise UserError(f"{where}.nodata is a number, nan included, or null; got {nodata!r}.")
        for key in ("offset", "scale"):
            rule = key == "offset" and isinstance(entry.get(key), str)
            if not rule and not _is_number(entry.get(key, 0)):
                raise UserError(f"{where}.{key} is a number, or null; got {entry[key]!r}.")
        values = Values(**{key: entry[key] for key in _OF_VALUES if key in entry}, group=where)
        found.append(MoreImages(images, None if names is None else list(names), nodata, values))
    return found


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def match_more(folder: Path, given: Sequence[Mapping[str, Any]] | None) -> list[list[Path]]:
    """Return for each entry of `data.more_images` the files under `folder` that its pattern matches.

    Raises:
        UserError: a pattern matches nothing.
    """
    return [
        match_files(folder, more.images, f"data.more_images[{number}].images")
        for number, more in enumerate(read_more(given))
    ]


def partners(
    folder: Path,
    pattern: str,
    images: Sequence[Path],
    given: Sequence[Mapping[str, Any]] | None,
    matched: Sequence[Sequence[Path]],
) -> list[list[Path]]:
    """Return for each entry of `data.more_images` the file of each image.

    pattern: that of the images, relative to `folder`. matched: what `match_more` returned. Where several files have an
        image's key, the one in its own folder counts.

    Raises:
        UserError: an image has no such file, or several.
    """
    found = []
    for number, (more, files) in enumerate(zip(read_more(given), matched, strict=True)):
        by_key: dict[str, list[Path]] = {}
        for path in files:
            by_key.setdefault(key_of(more.images, path.relative_to(folder).as_posix()), []).append(path)
        names = [image.relative_to(folder).as_posix() for image in images]
        by_whole_key: dict[str, list[Path]] = {}
        for path in files:
            by_whole_key.setdefault(whole_key_of(more.images, path.relative_to(folder).as_posix()), []).append(path)
        found.append(
            [
                _one(
                    by_key.get(key_of(pattern, name), []),
                    by_whole_key.get(whole_key_of(pattern, name), []),
                    image,
                    number,
                    more,
                    pattern,
                )
                for name, image in zip(names, images, strict=True)
            ]
        )
    return found


def _one(
    candidates: Sequence[Path],
    in_like_folders: Sequence[Path],
    image: Path,
    number: int,
    more: MoreImages,
    pattern: str,
) -> Path:
    beside = [path for path in candidates if path.parent == image.parent]
    chosen = candidates if len(candidates) == 1 else beside or in_like_folders
    if len(chosen) == 1:
        return chosen[0]
    key = f"data.more_images[{number}].images={more.images}"
    alike = f"The text matched by * must be equal there and in data.images={pattern}."
    if not candidates:
        raise UserError(f"The image {image} has no file that {key} matches. {alike}")
    several = shortened(candidates, SHOWN)
    raise UserError(f"The image {image} has several files that {key} matches: {several}. {alike}")
