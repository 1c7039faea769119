"""Lists of a split's images: which image each of their rows names. Opens no raster."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from geocompose.data.files.band_files import real_files
from geocompose.data.files.file_names import SHOWN, archive_advice, listed_names, renamed
from geocompose.errors import UserError, nearest, shortened


class Pair(NamedTuple):
    """An image and its label; `key` is the text that both names share."""

    key: str
    image: Path
    label: Path


class Unlabelled(NamedTuple):
    """An image without a label. key: what would be the text that both names share."""

    key: str
    image: Path


def _of_key(pair: Pair | Unlabelled, folder: Path | None) -> tuple[str, ...]:
    return (pair.key,)


def _of_stem(pair: Pair | Unlabelled, folder: Path | None) -> tuple[str, ...]:
    return tuple(file.stem for file in real_files([pair.image]))


def _of_name(pair: Pair | Unlabelled, folder: Path | None) -> tuple[str, ...]:
    return tuple(file.name for file in real_files([pair.image]))


def _of_path(pair: Pair | Unlabelled, folder: Path | None) -> tuple[str, ...]:
    if folder is None:
        return ()
    relative = pair.image.relative_to(folder)
    return relative.as_posix(), relative.with_suffix("").as_posix()


def read_split(
    path: Path, pairs: Sequence[Pair | Unlabelled], rename: Mapping[str, str], folder: Path | None = None
) -> list[str]:
    """Return the keys of the images that a split file lists, in its order.

    path: text or CSV, one image per row in the first column: a key, or an image's file name, with or without folder and
    extension. Empty rows and a first row that is a header (`image`, `name`, ...) are passed over.
    folder: the data set's; paths relative to it tell images of one name apart.
    rename: texts to replace in each name before it is looked up.

    Raises:
        UserError: the file lists nothing, an image twice, or a name that no image has (names the nearest).
    """
    # Where the key of one image is the file name of another, the file name counts.
    known: dict[str, set[str]] = {}
    for spellings in (_of_key, _of_stem, _of_name, _of_path):
        added: dict[str, set[str]] = {}
        for pair in pairs:
            for spelling in spellings(pair, folder):
                added.setdefault(spelling, set()).add(pair.key)
        known |= added
    names = listed_names(path, known)
    keys: list[str] = []
    for name in names:
        whole, short = renamed(PurePosixPath(name).as_posix(), rename), renamed(PurePosixPath(name).name, rename)
        # Of a path into an archive, the file there is meant, not one of its name in the folder.
        looked_up = whole if whole in known or archive_advice(name) else short
        if looked_up not in known:
            named = repr(name) if looked_up == name else f"{name!r} (looked up as {looked_up!r})"
            guess = nearest(looked_up, known, cutoff=0.5)
            hint = f"The nearest name that is there: {guess!r}. " if guess else ""
            hint = f"{archive_advice(name)} ".lstrip() or hint
            raise UserError(
                f"The split file {path} lists {named}, but data.images matches no such image. {hint}"
                "Fix the list, or say with data.split_rename={old: new} how its names differ."
            )
        if len(known[looked_up]) > 1:
            there = shortened(sorted(known[looked_up]), SHOWN)
            raise UserError(
                f"The split file {path} lists {name!r}, which stands for several images: {there}. Write the path "
                "relative to data.root."
            )
        keys.append(next(iter(known[looked_up])))
    twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None) if len(set(keys)) < len(keys) else None
    if twice is not None:
        raise UserError(f"The split file {path} lists the image {twice!r} twice; name each image once.")
    return keys
