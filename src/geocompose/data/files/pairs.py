"""Which files belong to a data set: images and labels paired by pattern, splits read from lists. Opens no raster."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from geocompose.data.files.band_files import shown
from geocompose.data.files.file_names import SHOWN, data_folder, match_files, split_paths
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
from geocompose.data.files.split_lists import Pair, Unlabelled, read_split
from geocompose.data.split import SPLITS
from geocompose.errors import UserError, shortened


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
