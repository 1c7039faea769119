"""Splits that are folders: train/, val/ and test/ somewhere in the files' paths. Opens no raster."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from geocompose.data.split import SPLITS
from geocompose.errors import UserError, shortened

FOLDERS = "folders"
_SHOWN = 3
# What folders of a split are called, without regard to case.
_NAMES: Mapping[str, str] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


def splits_in(path: str) -> set[str]:
    """Return the splits that folders of a path are called after."""
    return {_NAMES[part.lower()] for part in PurePosixPath(path).parts if part.lower() in _NAMES}


def members_by_folder(names: Sequence[str]) -> dict[str, list[int]]:
    """Return for each split the places of its files, by the folder in their path that is called like a split.

    names: paths relative to the data set's folder.

    Raises:
        UserError: a path has no such folder, or those of two splits; a split has no file.
    """
    members: dict[str, list[int]] = {split: [] for split in SPLITS}
    for place, name in enumerate(names):
        found = splits_in(str(PurePosixPath(name).parent))
        if len(found) != 1:
            what = "no folder" if not found else "folders of two splits"
            raise UserError(
                "data.split=folders takes an image's split from a folder called train, val or test in its path; "
                f"{name} has {what}. Narrow data.images, or split in another way (data.split_files, data.split)."
            )
        members[found.pop()].append(place)
    empty = [split for split, places in members.items() if not places]
    if empty:
        there = shortened(sorted({PurePosixPath(name).parts[0] for name in names}), _SHOWN)
        raise UserError(
            f"data.split=folders found no image in a folder {empty[0]}; data.images matches images in {there}. Widen "
            "data.images, such as '*/images/*.tif', or split in another way (data.split_files, data.split)."
        )
    return members


def fractions_of(split: Sequence[float] | str | None) -> Sequence[float] | None:
    """Return the fractions that `data.split` gives; None where it gives none."""
    return None if isinstance(split, str) else split
