"""Which files belong to a data set: images and labels paired by pattern, splits read from lists. Opens no raster."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from geocompose.data.files.band_files import real_files
from geocompose.data.files.file_names import SHOWN, data_folder, listed_names, match_files, renamed, split_paths
from geocompose.data.files.patterns import BAND, key_of
from geocompose.data.split import SPLITS
from geocompose.errors import UserError, nearest, shortened


class Pair(NamedTuple):
    """An image and its label; `key` is the text that both names share."""

    key: str
    image: Path
    label: Path


class Listing(NamedTuple):
    """What a data set reads: its pairs and its split files.

    members: for each split the places of its pairs in `pairs`; None without split files.
    """

    pairs: list[Pair]
    split_files: list[Path]
    members: dict[str, list[int]] | None


def list_files(
    root: str,
    images: str,
    labels: str,
    split_files: Mapping[str, str] | None = None,
    split_rename: Mapping[str, str] | None = None,
    without: Iterable[Path] = (),
) -> Listing:
    """Return the pairs under `root` sorted by key; with split files, only those that they name.

    split_files: a file for each of train, val and test; relative to `root`, or else to the working directory.
    split_rename: texts to replace in the names that split files list, such as {"S1Hand": "S2Hand"}.
    without: files that are not images, whatever the patterns match.

    Raises:
        UserError: see `match_pairs` and `read_split`; also a split without a file, or an image in two splits.
    """
    pairs = match_pairs(root, images, labels, without)
    if split_files is None:
        return Listing(pairs, [], None)
    paths = split_paths(Path(root).expanduser(), split_files)
    keys = {name: read_split(paths[name], pairs, split_rename or {}) for name in SPLITS}
    owner: dict[str, str] = {}
    for name in SPLITS:
        for key in keys[name]:
            if key in owner:
                raise UserError(
                    f"{key!r} is in data.split_files.{owner[key]} and in data.split_files.{name}: "
                    "splits may not share an image; take it out of one of them."
                )
            owner[key] = name
    used = [pair for pair in pairs if pair.key in owner]
    members = {name: [i for i, pair in enumerate(used) if owner[pair.key] == name] for name in SPLITS}
    return Listing(used, [paths[name] for name in SPLITS], members)


def match_pairs(root: str, images: str, labels: str, without: Iterable[Path] = ()) -> list[Pair]:
    """Return the images under `root` with their labels, sorted by key.

    images, labels: glob patterns relative to `root`; `**/` means any folder, none included. The text that the `*`s of
    the file name stand for is the key (that of the folders, where the file name has none), and equal keys belong
    together. A file that the label pattern matches is not an image, nor is one of `without`. Labels without an image
    are left out.

    Raises:
        UserError: no such folder; a pattern matches nothing; two files have one key; an image has no label.
    """
    folder = data_folder(root)
    if BAND in labels:
        raise UserError(f"data.labels={labels} must name one raster for each image; {BAND} is for data.images.")
    label_paths = _match(folder, labels, "data.labels")
    masks = {*label_paths.values(), *without}
    image_paths = _match(folder, images, "data.images", without=masks)

    alone = [key for key in image_paths if key not in label_paths]
    if alone:
        examples = shortened((image_paths[key].name for key in alone), SHOWN)
        spare = [key for key in label_paths if key not in image_paths]
        left = shortened((label_paths[key].name for key in spare), SHOWN)
        hint = ""
        if spare:
            hint = f" Labels without an image: {left}. Of {image_paths[alone[0]].name}, * matched {alone[0]!r}; of "
            hint += f"{label_paths[spare[0]].name}, {spare[0]!r}."
        raise UserError(
            f"{len(alone)} of {len(image_paths)} images in {folder} have no label that data.labels={labels} matches: "
            f"{examples}.{hint} The text matched by * must be equal in data.images={images} and data.labels."
        )
    return [Pair(key, image_paths[key], label_paths[key]) for key in sorted(image_paths)]


def read_split(path: Path, pairs: Sequence[Pair], rename: Mapping[str, str]) -> list[str]:
    """Return the keys of the images that a split file lists, in its order.

    path: text or CSV, one image per row in the first column: a key, or an image's file name, with or without folder and
    extension. Empty rows and a first row that is a header (`image`, `name`, ...) are passed over.
    rename: texts to replace in each name before it is looked up.

    Raises:
        UserError: the file lists nothing, an image twice, or a name that no image has (names the nearest).
    """
    # Where the key of one image is the file name of another, the file name counts.
    known = {pair.key: pair.key for pair in pairs}
    known |= {file.stem: pair.key for pair in pairs for file in real_files([pair.image])}
    known |= {file.name: pair.key for pair in pairs for file in real_files([pair.image])}
    names = listed_names(path, known)
    keys: list[str] = []
    for name in names:
        looked_up = renamed(PurePosixPath(name).name, rename)
        if looked_up not in known:
            shown = repr(name) if looked_up == name else f"{name!r} (looked up as {looked_up!r})"
            guess = nearest(looked_up, known, cutoff=0.5)
            hint = f"The nearest name that is there: {guess!r}. " if guess else ""
            raise UserError(
                f"The split file {path} lists {shown}, but data.images matches no such image. {hint}"
                "Fix the list, or say with data.split_rename={old: new} how its names differ."
            )
        keys.append(known[looked_up])
    twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None) if len(set(keys)) < len(keys) else None
    if twice is not None:
        raise UserError(f"The split file {path} lists the image {twice!r} twice; name each image once.")
    return keys


def _match(root: Path, pattern: str, key_path: str, without: Iterable[Path] = ()) -> dict[str, Path]:
    """Return the files under `root` that `pattern` matches, by key, without those of `without`."""
    files = match_files(root, pattern, key_path, without)
    by_key: dict[str, Path] = {}
    for path in files:
        relative = path.relative_to(root)
        key = key_of(pattern, relative.as_posix())
        if key in by_key:
            raise UserError(
                f"{key_path}={pattern} matches two files for one key {key!r}: "
                f"{by_key[key].relative_to(root)} and {relative}. The text matched by * in the file name must be "
                f"unique; narrow {key_path}."
            )
        by_key[key] = path
    return by_key
