"""The labels of images that have one each, from folders and tables: a class, several, or numbers. Opens no raster."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geocompose.data.files.image_files import SPLIT_COLUMN, ImageListing, ListedImage
from geocompose.data.label_values import TextValues
from geocompose.data.labels.base import Labels
from geocompose.data.labels.classification import ClassificationLabels
from geocompose.data.labels.multilabel import UNKNOWN, MultilabelLabels
from geocompose.data.labels.scalar_regression import ScalarRegressionLabels
from geocompose.errors import UserError, choices


def classes_of_images(
    listing: ImageListing,
    where: tuple[str, str, str | None],
    label_column: str,
    class_names: Sequence[str] | None,
    values: TextValues | None = None,
) -> tuple[Labels, list[np.ndarray]]:
    """Return the kind of label, and the class of each image, int64 ().

    where: root and pattern of the images, and their table; without a table an image's class is its folder's name.
    class_names: the classes in their order; None means all that occur, sorted.
    values: what stands for the classes, where that is not their names.

    Raises:
        UserError: an image has no class, or one that `class_names` lacks; or all have the same.
    """
    root, pattern, table = where
    if table is None:
        names = [_folder_name(image, Path(root).expanduser(), pattern) for image in listing.images]
    else:
        _check_columns(listing, [label_column], "data.label_column")
        # An image without a label is counted and named with the tiles that lack one.
        ignores = values is not None and values.ignores_unlisted
        names = [image.row[label_column] if ignores else _filled(image, label_column) for image in listing.images]
    if class_names is None and len(set(names)) == 1:
        raise UserError(
            f"All {len(names)} images under data.root={root} are of one class, {names[0]!r}: there are no classes to "
            f"distinguish. Widen data.images={pattern}, or correct the {'folders' if table is None else 'table'}."
        )
    kind = ClassificationLabels(sorted(set(names)) if class_names is None else class_names)
    values = values or TextValues(kind.target.names)
    return kind, [
        np.array(_place(name, values, image), np.int64) for name, image in zip(names, listing.images, strict=True)
    ]


def decisions_of_images(
    listing: ImageListing,
    file_column: str,
    label_column: str | None,
    class_names: Sequence[str] | None,
    values: TextValues | None = None,
) -> tuple[Labels, list[np.ndarray]]:
    """Return the kind of label, and for each image which classes it has, int64 (classes): 1, 0, or -1 where unknown.

    label_column: the column of class names, separated by `;`; None means a column for each class.
    class_names: the classes in their order; None means all names in `label_column`, sorted, or all columns but
    `file_column` and `split`.
    values: what stands for the classes in `label_column`, where that is not their names.

    Raises:
        UserError: a column is missing, or a cell does not say whether an image has a class.
    """
    if label_column is None:
        if values is not None:
            raise UserError(
                "data.label_values is for class names in one column (data.label_column); here each class has a column "
                "of its own. Name these in data.class_names, and set data.label_values=null."
            )
        others = [name for name in listing.columns if name not in (file_column, SPLIT_COLUMN)]
        kind = MultilabelLabels(others if class_names is None else class_names)
        _check_columns(listing, kind.target.names, "data.class_names")
        return kind, [
            np.array([_decision(image, name) for name in kind.target.names], np.int64) for image in listing.images
        ]
    _check_columns(listing, [label_column], "data.label_column")
    lists = [[name.strip() for name in image.row[label_column].split(";")] for image in listing.images]
    lists = [[name for name in names if name] for names in lists]
    kind = MultilabelLabels(sorted({name for names in lists for name in names}) if class_names is None else class_names)
    values = values or TextValues(kind.target.names)
    labels = [np.zeros(len(kind.target.names), np.int64) for _ in lists]
    for label, names, image in zip(labels, lists, listing.images, strict=True):
        places = [_place(name, values, image) for name in names]
        label[[place for place in places if place != UNKNOWN]] = 1
    return kind, labels


def numbers_of_images(
    listing: ImageListing, variables: Sequence[str], normalize_target: str, units: Sequence[str] | None = None
) -> tuple[Labels, list[np.ndarray]]:
    """Return the kind of label, and the numbers of each image, float32 (variables), NaN where unknown.

    units: of the variables; None: not stated.

    Raises:
        UserError: a column is missing, or a cell is not a number.
    """
    kind = ScalarRegressionLabels(variables, normalize_target, units)
    _check_columns(listing, variables, "data.variables")
    return kind, [np.array([_number(image, name) for name in variables], np.float32) for image in listing.images]


def _folder_name(image: ListedImage, root: Path, pattern: str) -> str:
    if image.path.parent == root:
        raise UserError(
            f"{image.name} lies in data.root={root} itself, but the class of an image is the name of its folder. Write "
            f"data.images=*/*.tif in place of {pattern}, or name the classes in a table (data.table)."
        )
    # Where all files of a folder are one image, its class is the folder around that.
    return image.path.parent.parent.name if image.path.name.startswith("{") else image.path.parent.name


def _check_columns(listing: ImageListing, names: Sequence[str], key: str) -> None:
    for name in names:
        if name not in listing.columns:
            raise UserError(f"{listing.lists[0]} has no column {name!r} ({key}). {choices(name, listing.columns)}")


def _filled(image: ListedImage, column: str) -> str:
    if not image.row[column]:
        raise UserError(
            f"{image.where}: {image.name} has no {column}. Fill it in, take the row out, or list the classes in "
            "data.label_values and set data.unlisted_labels=ignore to leave such images without a label."
        )
    return image.row[column]


def _place(name: str, values: TextValues, image: ListedImage) -> int:
    place = values.place(name)
    if place is None:
        raise UserError(f"{image.where}: {values.key} has no {name!r}. {choices(name, values.known)}{values.advice}")
    return place


def _decision(image: ListedImage, column: str) -> int:
    cell = image.row[column]
    decisions = {"0": 0, "1": 1, "": UNKNOWN, "-1": UNKNOWN}
    if cell not in decisions:
        raise UserError(
            f"{image.where}: {column} is {cell!r}; it is 1 (has the class), 0 (does not), or empty (unknown). "
            "Leave out columns that are not classes by naming the others in data.class_names; for a column of "
            "several names separated by ';' set data.label_column."
        )
    return decisions[cell]


def _number(image: ListedImage, column: str) -> float:
    cell = image.row[column]
    if not cell:
        return float("nan")
    try:
        number = float(cell)
    except ValueError as error:
        raise UserError(
            f"{image.where}: {column} is {cell!r}, not a number. Leave the cell empty where it is unknown."
        ) from error
    if abs(number) > float(np.finfo(np.float32).max):
        raise UserError(f"{image.where}: {column} is {cell!r}, too large a number. Leave the cell empty if unknown.")
    return number
