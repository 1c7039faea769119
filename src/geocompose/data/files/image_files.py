"""Which images have a label each: by folder or by table, with their splits. Opens no raster."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from geocompose.data.files.band_files import shown
from geocompose.data.files.file_names import (
    SHOWN,
    FileLookup,
    archive_advice,
    csv_rows,
    data_folder,
    list_file,
    listed_names,
    match_files,
    renamed,
    split_paths,
)
from geocompose.data.files.left_out import FilesLeftOut, images_in_no_list, images_without_row, of_other_ending, there
from geocompose.data.files.split_folders import FOLDERS, members_by_folder
from geocompose.data.split import SPLITS
from geocompose.errors import UserError, choices, shortened

SPLIT_COLUMN = "split"


class ListedImage(NamedTuple):
    """An image that has a label.

    name: path relative to the data set's folder. where: the place that gives the label, for errors.
    row: the table's cells by column; empty without a table.
    """

    name: str
    path: Path
    where: str
    row: Mapping[str, str]


class ImageListing(NamedTuple):
    """The images of a data set, sorted by name.

    columns: those of the table; none without a table. lists: table and split files.
    members: for each split the places of its images in `images`; None where fractions say.
    left_out: files that are there and are not used.
    """

    images: list[ListedImage]
    columns: list[str]
    lists: list[Path]
    members: dict[str, list[int]] | None
    left_out: list[FilesLeftOut]


def list_images(
    *,
    root: str,
    images: str,
    table: str | None,
    file_column: str,
    split: Sequence[float] | str | None,
    split_files: Mapping[str, str] | None,
    split_rename: Mapping[str, str] | None,
    without: Iterable[Path] = (),
) -> ImageListing:
    """Return the images under `root` that have a label; with split files, only those that they name.

    images: glob pattern relative to `root`; `**/` means any folder, none included.
    table: a CSV file with a header and one image per row; None means that labels come from elsewhere.
    file_column: the table's column of image names: paths relative to `root`, file names, or these without extension.
    split, split_files: as in `geocompose.data.files.pairs.list_files`. Where both are None and the table has a column
        `split`, that says which image is for train, val or test; under `folders` the folders called so do.
    without: files that are not images, whatever the pattern matches.

    Raises:
        UserError: no image or table; a row that names no image, or one that another row has; a cell of `split` that is
            not a split; fractions and lists at once.
    """
    if split is not None and split_files is not None:
        raise UserError(
            "data.split and data.split_files are both given; they exclude each other. Set one of them to null."
        )
    folder = data_folder(root)
    further = list(without)
    paths = match_files(folder, images, "data.images", further)
    names = [shown(path, folder) for path in paths]
    lookup = FileLookup(names)
    columns: list[str] = []
    lists: list[Path] = []
    if table is None:
        listed = [ListedImage(name, path, name, {}) for name, path in zip(names, paths, strict=True)]
    else:
        lists = [list_file(folder, table, "data.table")]
        columns, rows = read_table(lists[0])
        if file_column not in columns:
            raise UserError(
                f"{lists[0]} has no column {file_column!r} with the images' names. Set data.file_column. "
                f"{choices(file_column, columns)}"
            )
        listed = _rows(rows, file_column, lists[0], lookup, paths, images)

    listed = sorted(listed)
    left_out = there(of_other_ending(folder, images, "data.images", {*paths, *further}))
    if lists:
        with_row = {image.name for image in listed}
        left_out += there(images_without_row([name for name in names if name not in with_row], lists[0]))
    if split_files is not None:
        files = split_paths(folder, split_files)
        members = _split_members(files, [image.name for image in listed], split_rename or {})
        used = sorted({place for places in members.values() for place in places})
        renumbered = {place: i for i, place in enumerate(used)}
        members = {name: sorted(renumbered[place] for place in places) for name, places in members.items()}
        unused = [image.name for place, image in enumerate(listed) if place not in renumbered]
        left_out += there(images_in_no_list(unused))
        return ImageListing([listed[place] for place in used], columns, lists + list(files.values()), members, left_out)
    if split == FOLDERS:
        by_folder = members_by_folder([image.name for image in listed])
        return ImageListing(listed, columns, lists, by_folder, left_out)
    if split is None and SPLIT_COLUMN in columns:
        return ImageListing(listed, columns, lists, _column_members(listed, lists[0]), left_out)
    return ImageListing(listed, columns, lists, None, left_out)


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the columns of a CSV file and its rows, each with its line's number (the header is line 1).

    Raises:
        UserError: the file is not CSV or has no row, a column twice or without a name, or a row of another length.
    """
    lines = csv_rows(path)
    header = lines[0][1] if lines else []
    rows = [(line, cells) for line, cells in lines[1:] if any(cells)]
    if len(header) == 1 and any(sign in header[0] for sign in ";\t"):
        raise UserError(f"{path} is not separated by commas: its header is {header[0]!r}. Write it as CSV with commas.")
    if len(set(header)) < len(header) or not all(header):
        raise UserError(f"{path} has a column without a name, or two of one name: {', '.join(header)}.")
    if not rows:
        raise UserError(f"{path} has no row below its header; it takes one image per row.")
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(f"{path}, line {line}: {len(row)} cells, but the header has {len(header)} columns.")
    return header, [(line, dict(zip(header, row, strict=True))) for line, row in rows]


def _rows(
    rows: Sequence[tuple[int, dict[str, str]]],
    file_column: str,
    table: Path,
    lookup: FileLookup,
    paths: Sequence[Path],
    pattern: str,
) -> list[ListedImage]:
    owner: dict[int, int] = {}
    listed = []
    for line, row in rows:
        where = f"{table}, line {line}"
        place = _one_place(
            lookup, row[file_column], row[file_column], where, f"images that data.images={pattern} matches"
        )
        if place in owner:
            raise UserError(f"{where}: the image {lookup.names[place]} has a row already, line {owner[place]}.")
        owner[place] = line
        listed.append(ListedImage(lookup.names[place], paths[place], where, row))
    return listed


def _one_place(lookup: FileLookup, name: str, shown: str, where: str, among: str) -> int:
    """Return the place of the one image that `name` stands for."""
    found = lookup.find(name)
    if not found.places:
        hint = f" The nearest name that is there: {found.nearest!r}." if found.nearest else ""
        hint = archive_advice(name) or hint
        raise UserError(f"{where}: there is no image {shown!r} among the {len(lookup.names)} {among}.{hint}")
    if len(found.places) > 1:
        there = shortened((lookup.names[place] for place in found.places), SHOWN)
        raise UserError(f"{where}: {shown!r} stands for several images: {there}. Write the path relative to data.root.")
    return found.places[0]


def _split_members(files: Mapping[str, Path], names: list[str], rename: Mapping[str, str]) -> dict[str, list[int]]:
    lookup = FileLookup(names)
    members: dict[str, list[int]] = {}
    owner: dict[int, str] = {}
    for split, path in files.items():
        members[split] = []
        for name in listed_names(path, names):
            place = _one_place(lookup, renamed(name, rename), name, f"The split file {path}", "labelled images")
            if place in owner:
                raise UserError(
                    f"{names[place]!r} is in data.split_files.{owner[place]} and again in data.split_files.{split}: "
                    "name each image once, in one split."
                )
            owner[place] = split
            members[split].append(place)
    return members


def _column_members(listed: Sequence[ListedImage], table: Path) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {name: [] for name in SPLITS}
    for place, image in enumerate(listed):
        cell = image.row[SPLIT_COLUMN]
        if cell not in members:
            raise UserError(f"{image.where}: the column split has {cell!r}. {choices(cell, SPLITS)}")
        members[cell].append(place)
    empty = [name for name, places in members.items() if not places]
    if empty:
        raise UserError(
            f"{table} has no row whose column split is {empty[0]}. Add some, or split by data.split=[0.6,0.2,0.2]."
        )
    return members
