"""Which files belong to a data set: images and labels paired by pattern, splits read from lists. Opens no raster."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from geocompose.data.files.band_files import real_files, shown
from geocompose.data.files.file_names import SHOWN, data_folder, listed_names, match_files, renamed, split_paths
from geocompose.data.files.left_out import (
    FilesLeftOut,
    images_in_no_list,
    images_without_label,
    labels_without_image,
    of_other_ending,
    there,
)
from geocompose.data.files.patterns import BAND, key_of, whole_key_of
from geocompose.data.files.split_folders import members_by_folder
from geocompose.data.split import SPLITS
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


class Matched(NamedTuple):
    """What two patterns match: images with their labels and those without, by key, and files that are not used.

    hint: how labels without an image are called, where images lack one; else empty.
    """

    pairs: list[Pair]
    unlabelled: list[Unlabelled]
    left_out: list[FilesLeftOut]
    hint: str = ""


class Listing(NamedTuple):
    """What a data set reads: its pairs and its split files.

    members: for each split the places of its pairs in `pairs`; None without split files.
    left_out: files that are there and are not used.
    """

    pairs: list[Pair]
    split_files: list[Path]
    members: dict[str, list[int]] | None
    left_out: list[FilesLeftOut]


def list_files(
    root: str,
    images: str,
    labels: str,
    split_files: Mapping[str, str] | None = None,
    split_rename: Mapping[str, str] | None = None,
    without: Iterable[Path] = (),
    *,
    by_folder: bool = False,
) -> Listing:
    """Return the pairs under `root` sorted by key; with split files, only those that they name.

    Images without a label are left out, also where a list or folder of a split has them.

    by_folder: an image's split is the folder called train, val or test in its path.

    split_files: a file for each of train, val and test; relative to `root`, or else to the working directory.
    split_rename: texts to replace in the names that split files list, such as {"S1Hand": "S2Hand"}.
    without: files that are not images, whatever the patterns match.

    Raises:
        UserError: see `matched_files` and `read_split`; also a split without a file, an image in two splits, or a split
            whose images all lack a label.
    """
    folder = Path(root).expanduser()
    found = matched_files(root, images, labels, list(without))
    named: list[Pair | Unlabelled] = [*found.pairs, *found.unlabelled]
    if split_files is not None:
        paths = split_paths(folder, split_files)
        everywhere = _listed_members(paths, named, split_rename or {}, folder)
    else:
        paths = {}
        everywhere = members_by_folder([_relative(each, folder) for each in named]) if by_folder else {}

    labelled = {split: [i for i in places if i < len(found.pairs)] for split, places in everywhere.items()}
    lacking = {split: len(places) - len(labelled[split]) for split, places in everywhere.items()}
    empty = next((split for split, places in labelled.items() if not places), None)
    if empty is not None:
        examples = shortened((_relative(named[i], folder) for i in everywhere[empty]), SHOWN)
        raise UserError(
            f"No image of the split {empty} has a label that data.labels={labels} matches ({examples}); each split "
            f"needs one.{found.hint}"
        )
    bare = images_without_label([_relative(each, folder) for each in found.unlabelled], labels, lacking, found.hint)
    left_out = [*there(bare), *found.left_out]
    if split_files is None:
        return Listing(found.pairs, [], labelled if by_folder else None, left_out)

    listed = {place for places in everywhere.values() for place in places}
    used = sorted(place for place in listed if place < len(found.pairs))
    renumbered = {place: i for i, place in enumerate(used)}
    members = {split: sorted(renumbered[place] for place in places) for split, places in labelled.items()}
    unused = [_relative(pair, folder) for place, pair in enumerate(found.pairs) if place not in listed]
    left_out += there(images_in_no_list(unused))
    return Listing([found.pairs[place] for place in used], [paths[split] for split in SPLITS], members, left_out)


def _relative(each: Pair | Unlabelled, folder: Path) -> str:
    return shown(each.image, folder)


def _listed_members(
    paths: Mapping[str, Path], named: Sequence[Pair | Unlabelled], rename: Mapping[str, str], folder: Path
) -> dict[str, list[int]]:
    """Return for each split the places of the images that its list names."""
    place_of = {each.key: place for place, each in enumerate(named)}
    owner: dict[str, str] = {}
    members: dict[str, list[int]] = {}
    for split in SPLITS:
        keys = read_split(paths[split], named, rename, folder)
        for key in keys:
            if key in owner:
                raise UserError(
                    f"{key!r} is in data.split_files.{owner[key]} and in data.split_files.{split}: "
                    "splits may not share an image; take it out of one of them."
                )
            owner[key] = split
        members[split] = [place_of[key] for key in keys]
    return members


def match_pairs(root: str, images: str, labels: str, without: Iterable[Path] = ()) -> list[Pair]:
    """Return the images under `root` that have a label, with it, see `matched_files`."""
    return matched_files(root, images, labels, without).pairs


def matched_files(root: str, images: str, labels: str, without: Iterable[Path] = ()) -> Matched:
    """Return the images under `root` with their labels, sorted by key, and the files that are not used.

    images, labels: glob patterns relative to `root`; `**/` means any folder below it, none included. The text that the
    `*`s of the file name stand for is the key, and equal keys belong together. Where it has none, it is the
    text of the folders; where neither images nor labels have names of their own, the text of both. A file that the
    label pattern matches is not an image, nor is one of `without`. Labels without an image are left out, and so are
    images without a label.

    Raises:
        UserError: no such folder; a pattern matches nothing; two files have one key; no image has a label.
    """
    folder = data_folder(root)
    if BAND in labels:
        raise UserError(f"data.labels={labels} must name one raster for each image; {BAND} is for data.images.")
    further = set(without)
    label_files = match_files(folder, labels, "data.labels")
    masks = {*label_files, *further}
    image_files = match_files(folder, images, "data.images", masks)
    # File names are enough in most data sets; where folders hold files of equal names, the folders count as well.
    by_name = _are_unique(folder, images, image_files) or _are_unique(folder, labels, label_files)
    key = key_of if by_name else whole_key_of
    label_paths = _by_key(folder, labels, "data.labels", label_files, key)
    image_paths = _by_key(folder, images, "data.images", image_files, key)

    alone = sorted(key for key in image_paths if key not in label_paths)
    spare = sorted(key for key in label_paths if key not in image_paths)
    hint = ""
    if alone and spare:
        left = shortened((label_paths[key].name for key in spare), SHOWN)
        hint = f" Labels without an image: {left}. Of {image_paths[alone[0]].name}, * matched {alone[0]!r}; of "
        hint += f"{label_paths[spare[0]].name}, {spare[0]!r}."
    if len(alone) == len(image_paths):
        examples = shortened((image_paths[key].name for key in alone), SHOWN)
        raise UserError(
            f"None of the {len(alone)} images in {folder} has a label that data.labels={labels} matches: "
            f"{examples}.{hint} The text matched by * must be equal in data.images={images} and data.labels."
        )
    names = [label_paths[key].relative_to(folder).as_posix() for key in spare]
    known = {*image_paths.values(), *masks}
    left_out = there(
        labels_without_image(names, images),
        of_other_ending(folder, images, "data.images", known),
        of_other_ending(folder, labels, "data.labels", known),
    )
    pairs = [Pair(key, image_paths[key], label_paths[key]) for key in sorted(image_paths) if key in label_paths]
    return Matched(pairs, [Unlabelled(key, image_paths[key]) for key in alone], left_out, hint)


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
        looked_up = whole if whole in known else short
        if looked_up not in known:
            named = repr(name) if looked_up == name else f"{name!r} (looked up as {looked_up!r})"
            guess = nearest(looked_up, known, cutoff=0.5)
            hint = f"The nearest name that is there: {guess!r}. " if guess else ""
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


def _are_unique(root: Path, pattern: str, files: Sequence[Path]) -> bool:
    return len({key_of(pattern, path.relative_to(root).as_posix()) for path in files}) == len(files)


def _by_key(
    root: Path, pattern: str, key_path: str, files: Sequence[Path], key_of_file: Callable[[str, str], str]
) -> dict[str, Path]:
    """Return files that a pattern matches by their key, which `key_of_file` finds in it and a path."""
    by_key: dict[str, Path] = {}
    for path in files:
        relative = path.relative_to(root)
        key = key_of_file(pattern, relative.as_posix())
        if key in by_key:
            raise UserError(
                f"{key_path}={pattern} matches two files for one key {key!r}: "
                f"{by_key[key].relative_to(root)} and {relative}. The text matched by * in the file name must be "
                f"unique; narrow {key_path}."
            )
        by_key[key] = path
    return by_key
