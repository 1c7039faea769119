"""Names of files under a data set's folder: found by pattern, and looked up from lists. Opens no raster."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from geocompose.data.files.band_files import short_names
from geocompose.data.files.matching import matching
from geocompose.data.files.patterns import plain
from geocompose.data.split import SPLITS
from geocompose.errors import UserError, choices, counted, nearest

# First cells that make a row of a split file its header, unless an image has that name.
_HEADERS = {"image", "images", "image_path", "file", "files", "filename", "name", "id", "key", "path", "chip"}
SHOWN = 3  # names that a message gives as examples


def data_folder(root: str) -> Path:
    """Return the folder that `data.root` names.

    Raises:
        UserError: there is no such folder.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.is_file() else "does not exist"
        raise UserError(
            f"data.root={root} {what}. Set data.root to the folder that holds the data set's images and labels."
            f"{archive_advice(root)}"
        )
    return folder


def match_files(root: Path, pattern: str, key_path: str, without: Iterable[Path] = ()) -> list[Path]:
    """Return the files under `root` that the glob `pattern` matches, except those in `without`, sorted.

    For files of one band each, and rasters inside files, see `geocompose.data.files.matching`.

    key_path: the configuration's key of the pattern, for errors.

    Raises:
        UserError: the pattern is absolute, or matches nothing.
    """
    if pattern.startswith("/vsi"):
        raise UserError(
            f"{key_path}={pattern} is a path into an archive or a store, which only a prediction reads. {key_path} "
            f"names files below data.root={root}: unpack them, or write a VRT of each into that folder."
        )
    if Path(plain(pattern)).is_absolute():
        raise UserError(f"{key_path}={pattern} is absolute; it is a pattern relative to data.root={root}.")
    files = matching(root, pattern, set(without))
    if not files and matching(root, pattern):
        raise UserError(
            f"{key_path}={pattern} matches only files that data.labels matches too. Write patterns that tell images "
            "from labels."
        )
    if not files:
        there = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        if not there:
            raise UserError(f"{key_path}={pattern} matches nothing: the folder data.root={root} holds no file.")
        one_per_folder = {PurePosixPath(name).parent: name for name in reversed(there)}
        shown = ", ".join(list(reversed(one_per_folder.values()))[:SHOWN])
        such_as = "" if len(there) <= SHOWN and len(one_per_folder) == len(there) else "such as "
        raise UserError(
            f"{key_path}={pattern} matches nothing: the folder data.root={root} holds {counted(len(there), 'file')} "
            f"({such_as}{shown}). Set data.root to the folder of the data, or {key_path} to match its files."
        )
    return files


def list_file(root: Path, name: str, key_path: str) -> Path:
    """Return the file `name` under `root`, or else under the working directory.

    Raises:
        UserError: it is in neither.
    """
    for path in (root / name, Path(name).expanduser()):
        if path.is_file():
            return path
    raise UserError(
        f"{key_path}={name} does not exist, neither under data.root={root} nor under the working directory."
        f"{archive_advice(name)}"
    )


def archive_advice(name: str) -> str:
    """Return what to do where a list or table names a path into an archive or a store; empty for other names."""
    if not (name.startswith("/vsi") or "://" in name):
        return ""
    return (
        " It is a path into an archive or a store, which only a prediction reads. Lists and tables name images below "
        "data.root: unpack them, or write a VRT of each into that folder and name that."
    )


def split_paths(root: Path, split_files: Mapping[str, str]) -> dict[str, Path]:
    """Return the file of each split.

    Raises:
        UserError: a split has no file, or the mapping has another key than the splits.
    """
    unknown = [name for name in split_files if name not in SPLITS]
    if unknown:
        raise UserError(f"data.split_files has no {unknown[0]!r}. {choices(unknown[0], SPLITS)}")
    missing = [name for name in SPLITS if not split_files.get(name)]
    if missing:
        raise UserError(f"data.split_files lacks {', '.join(missing)}: it takes one file each for {', '.join(SPLITS)}.")
    return {name: list_file(root, split_files[name], f"data.split_files.{name}") for name in SPLITS}


def listed_names(path: Path, known: Iterable[str]) -> list[str]:
    """Return the first column of a split file, without empty rows and without a header (`image`, `name`, ...).

    known: names that are not a header, even where they read like one.

    Raises:
        UserError: the file lists nothing, or is not text.
    """
    names = [cells[0] for _, cells in csv_rows(path) if cells and cells[0]]
    if names and names[0].casefold() in _HEADERS and names[0] not in set(known):
        names = names[1:]
    if not names:
        raise UserError(f"The split file {path} lists no image; it takes one image per row, in the first column.")
    return names


def csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows of a CSV file, each with the number of its last line (from 1) and its cells without outer spaces.

    Raises:
        UserError: the file is not text in UTF-8, or not CSV.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines)
            return [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8 ({error.reason}). Save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise UserError(f"{path} can't be read as CSV: {error}.") from error


def renamed(name: str, rename: Mapping[str, str]) -> str:
    """Return `name` with each text of `rename` replaced."""
    for old, new in rename.items():
        name = name.replace(old, new)
    return name


class Found(NamedTuple):
    """What a looked-up name stands for: places of files; none, one or, where it is ambiguous, several."""

    places: list[int]
    nearest: str | None


class FileLookup:
    """Files by the names that lists have for them: path, file name or file name without extension.

    names: the files' paths relative to their folder, with `/`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._by_path = {name: [i] for i, name in enumerate(names)}
        self._by_name: dict[str, list[int]] = {}
        self._by_stem: dict[str, list[int]] = {}
        for i, name in enumerate(names):
            self._by_name.setdefault(PurePosixPath(name).name, []).append(i)
            path = PurePosixPath(name)
            further = {other for short in short_names(name) for other in (short, PurePosixPath(short).name)}
            for stem in {path.stem, path.with_suffix("").as_posix(), *further}:
                self._by_stem.setdefault(stem, []).append(i)

    def find(self, name: str) -> Found:
        """Return the files that `name` may stand for: by its whole path if it is there, else by its last part."""
        if archive_advice(name):
            return Found([], None)  # the file in the archive is meant, not one of its name in the folder
        short = PurePosixPath(name).name
        for table, key in (
            (self._by_path, PurePosixPath(name).as_posix()),
            (self._by_stem, PurePosixPath(name).as_posix()),
            (self._by_name, short),
            (self._by_stem, short),
        ):
            if key in table:
                return Found(table[key], None)
        return Found([], nearest(short, [*self._by_name, *self._by_stem], cutoff=0.5))
