"""Files that a data set has and does not use: which, and why. Opens no raster."""

import glob
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from geocompose.errors import counted, shortened

SHOWN = 3  # names in a line
_RECORDED = 100  # names in a record
_ALIKE = {"tif": ("tif", "tiff"), "tiff": ("tif", "tiff"), "jpg": ("jpg", "jpeg"), "jpeg": ("jpg", "jpeg")}


class FilesLeftOut(NamedTuple):
    """Files that are not used for one reason.

    kind: the reason as records call it. what: one such file in words, plural: several. why: what follows the words.
    names: the files, relative to the data set's folder.
    """

    kind: str
    what: str
    plural: str
    why: str
    names: Sequence[str]

    @property
    def in_words(self) -> str:
        """Return one line: how many there are of what, some names, and what to do."""
        number = counted(len(self.names), self.what, self.plural)
        # Not str.format: a pattern among the words may have braces of its own, as `{band}`.
        return f"Left out: {number} {self.why.replace('{names}', shortened(self.names, SHOWN))}"

    def as_record(self) -> dict[str, object]:
        """Return what a record keeps, as JSON knows it."""
        return {"count": len(self.names), "names": list(self.names[:_RECORDED])}


def there(*several: FilesLeftOut) -> list[FilesLeftOut]:
    """Return those that name a file."""
    return [one for one in several if one.names]


def labels_without_image(names: Sequence[str], pattern: str) -> FilesLeftOut:
    """Return the labels whose image `data.images`, `pattern`, does not match."""
    why = f"without an image that data.images={pattern} matches ({{names}})."
    return FilesLeftOut("labels_without_image", "label", "labels", why, names)


def images_without_label(names: Sequence[str], pattern: str, lacking: Mapping[str, int], hint: str) -> FilesLeftOut:
    """Return the images for which `data.labels`, `pattern`, matches no label.

    lacking: how many each split has, where lists or folders say it. hint: how labels without an image are called.
    """
    number = ", ".join(f"{count} of {split}" for split, count in lacking.items() if count)
    within = f"{number}: " if number else ""
    why = f"without a label that data.labels={pattern} matches ({within}{{names}}).{hint}"
    return FilesLeftOut("images_without_label", "image", "images", why, names)


def images_without_row(names: Sequence[str], table: Path) -> FilesLeftOut:
    """Return the images of which a table of labels has no row."""
    return FilesLeftOut("images_without_label", "image", "images", f"of which {table} has no row ({{names}}).", names)


def images_in_no_list(names: Sequence[str]) -> FilesLeftOut:
    """Return the images that no split file lists."""
    why = "that no file of data.split_files lists ({names})."
    return FilesLeftOut("images_in_no_split", "image", "images", why, names)


def of_other_ending(root: Path, pattern: str, key: str, without: Iterable[Path]) -> FilesLeftOut:
    """Return the files that a pattern matches but for the ending: `.TIF` or `.tiff` beside `.tif`.

    key: the pattern's key in the configuration. without: files that are used, or matched by another pattern.
    """
    wide = _any_ending(pattern)
    known = set(without)
    names: list[str] = []
    for each in wide:
        found = (root / name for name in sorted(glob.glob(each, root_dir=root, recursive=True)))
        names += [path.relative_to(root).as_posix() for path in found if path.is_file() and path not in known]
    ending = PurePosixPath(pattern).suffix
    why = (
        f"whose names differ in the ending alone from {key}={pattern} ({{names}}). To use them, rename them to "
        f"{ending}, or write {key}={wide[0] if wide else pattern}."
    )
    return FilesLeftOut(f"{key.rpartition('.')[2]}_of_another_ending", "file", "files", why, sorted(set(names)))


def _any_ending(pattern: str) -> list[str]:
    """Return patterns that match whatever the case and the spelling of the ending is, the pattern's own first."""
    start, dot, ending = pattern.rpartition(".")
    if not dot or not ending.isalpha() or ":" in pattern or "{" in pattern:  # a raster in a file, a file per band
        return []
    own = ending.lower()
    spellings = [own, *(each for each in _ALIKE.get(own, ()) if each != own)]
    return [start + dot + "".join(f"[{sign}{sign.upper()}]" for sign in each) for each in spellings]
