"""Opening image rasters that have one label each: a class, several, or numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geocompose.data.coordinates.coordinates import CoordinateRules, read_coordinates
from geocompose.data.files.file_names import data_folder
from geocompose.data.files.image_files import SPLIT_COLUMN, ImageListing, ListedImage, list_images
from geocompose.data.fitting import Fit
from geocompose.data.labels.base import Labels
from geocompose.data.labels.classification import ClassificationLabels
from geocompose.data.labels.multilabel import UNKNOWN, MultilabelLabels
from geocompose.data.labels.scalar_regression import ScalarRegressionLabels
from geocompose.data.opened import Collection
from geocompose.data.rasters.image_rasters import ImageRasters
from geocompose.data.rasters.label import ImageLabel
from geocompose.data.split import SPLITS, split_by_fractions, split_by_members
from geocompose.data.tiling import ImageTiling
from geocompose.errors import UserError, choices


def open_classified_images(
    *,
    root: str,
    images: str,
    table: str | None,
    file_column: str,
    label_column: str,
    class_names: Sequence[str] | None,
    band_names: Sequence[str] | None,
    nodata: float | None,
    split: Sequence[float] | None,
    split_files: Mapping[str, str] | None,
    split_rename: Mapping[str, str] | None,
    tile_px: int,
    fit: Fit,
    random_crop: bool,
    dates: str | None,
    date_pattern: str | None,
    positions: str | None,
    num_frames: int,
    more_images: Sequence[Mapping[str, Any]] | None,
    seed: int,
) -> Collection:
    """Return images with a class each; reads headers and lists. The arguments are `GeoTiffClassificationData`'s.

    Raises:
        UserError: files, table, classes or splits don't fit together.
    """
    rasters = ImageRasters(band_names, nodata, num_frames, more_images)
    listing = list_images(
        root=root,
        images=images,
        table=table,
        file_column=file_column,
        split=split,
        split_files=split_files,
        split_rename=split_rename,
        without=rasters.no_images(data_folder(root)),
    )
    if table is None:
        names = [_folder_name(image, Path(root).expanduser(), images) for image in listing.images]
    else:
        _check_columns(listing, [label_column], "data.label_column")
        names = [_filled(image, label_column) for image in listing.images]
    if class_names is None and len(set(names)) == 1:
        raise UserError(
            f"All {len(names)} images under data.root={root} are of one class, {names[0]!r}: there is nothing to tell "
            f"apart. Widen data.images={images}, or mend the {'folders' if table is None else 'table'}."
        )
    kind = ClassificationLabels(sorted(set(names)) if class_names is None else class_names)
    known = {name: i for i, name in enumerate(kind.target.names)}
    labels = [np.array(_place(name, known, image), np.int64) for name, image in zip(names, listing.images, strict=True)]
    tiling = ImageTiling(tile_px, fit, random_crop=random_crop)
    rules = CoordinateRules(dates, date_pattern, positions)
    return _open(listing, labels, kind, (root, images), file_column, rasters, split, tiling, seed, rules)


def open_multilabel_images(
    *,
    root: str,
    images: str,
    table: str,
    file_column: str,
    label_column: str | None,
    class_names: Sequence[str] | None,
    band_names: Sequence[str] | None,
    nodata: float | None,
    split: Sequence[float] | None,
    split_files: Mapping[str, str] | None,
    split_rename: Mapping[str, str] | None,
    tile_px: int,
    fit: Fit,
    random_crop: bool,
    dates: str | None,
    date_pattern: str | None,
    positions: str | None,
    num_frames: int,
    more_images: Sequence[Mapping[str, Any]] | None,
    seed: int,
) -> Collection:
    """Return images with any of the classes; reads headers and lists. The arguments are `GeoTiffMultilabelData`'s.

    Raises:
        UserError: files, table, classes or splits don't fit together.
    """
    rasters = ImageRasters(band_names, nodata, num_frames, more_images)
    listing = list_images(
        root=root,
        images=images,
        table=table,
        file_column=file_column,
        split=split,
        split_files=split_files,
        split_rename=split_rename,
        without=rasters.no_images(data_folder(root)),
    )
    if label_column is None:
        others = [name for name in listing.columns if name not in (file_column, SPLIT_COLUMN)]
        kind = MultilabelLabels(others if class_names is None else class_names)
        _check_columns(listing, kind.target.names, "data.class_names")
        labels = [
            np.array([_decision(image, name) for name in kind.target.names], np.int64) for image in listing.images
        ]
    else:
        _check_columns(listing, [label_column], "data.label_column")
        lists = [[name.strip() for name in image.row[label_column].split(";")] for image in listing.images]
        lists = [[name for name in names if name] for names in lists]
        kind = MultilabelLabels(
            sorted({name for names in lists for name in names}) if class_names is None else class_names
        )
        known = {name: i for i, name in enumerate(kind.target.names)}
        labels = [np.zeros(len(known), np.int64) for _ in lists]
        for label, names, image in zip(labels, lists, listing.images, strict=True):
            label[[_place(name, known, image) for name in names]] = 1
    tiling = ImageTiling(tile_px, fit, random_crop=random_crop)
    rules = CoordinateRules(dates, date_pattern, positions)
    return _open(listing, labels, kind, (root, images), file_column, rasters, split, tiling, seed, rules)


def open_measured_images(
    *,
    root: str,
    images: str,
    table: str,
    file_column: str,
    variables: Sequence[str],
    band_names: Sequence[str] | None,
    nodata: float | None,
    normalize_target: str,
    split: Sequence[float] | None,
    split_files: Mapping[str, str] | None,
    split_rename: Mapping[str, str] | None,
    tile_px: int,
    fit: Fit,
    random_crop: bool,
    dates: str | None,
    date_pattern: str | None,
    positions: str | None,
    num_frames: int,
    more_images: Sequence[Mapping[str, Any]] | None,
    seed: int,
) -> Collection:
    """Return images with numbers; reads headers and lists. The arguments are `GeoTiffScalarRegressionData`'s.

    Raises:
        UserError: files, table, numbers or splits don't fit together.
    """
    kind = ScalarRegressionLabels(variables, normalize_target)
    rasters = ImageRasters(band_names, nodata, num_frames, more_images)
    listing = list_images(
        root=root,
        images=images,
        table=table,
        file_column=file_column,
        split=split,
        split_files=split_files,
        split_rename=split_rename,
        without=rasters.no_images(data_folder(root)),
    )
    _check_columns(listing, variables, "data.variables")
    labels = [np.array([_number(image, name) for name in variables], np.float32) for image in listing.images]
    tiling = ImageTiling(tile_px, fit, random_crop=random_crop)
    rules = CoordinateRules(dates, date_pattern, positions)
    return _open(listing, labels, kind, (root, images), file_column, rasters, split, tiling, seed, rules)


def _open(
    listing: ImageListing,
    labels: Sequence[np.ndarray],
    kind: Labels,
    patterns: tuple[str, str],
    file_column: str,
    rasters: ImageRasters,
    split: Sequence[float] | None,
    tiling: ImageTiling,
    seed: int,
    rules: CoordinateRules,
) -> Collection:
    """Return rasters with these labels. patterns: root, images."""
    folder = data_folder(patterns[0])
    named = [(image.name, image.path, ImageLabel(label)) for image, label in zip(listing.images, labels, strict=True)]
    scenes = rasters.scenes(folder, patterns[1], named)
    tiling.check(scenes)
    if listing.members is not None:
        regions = split_by_members(scenes, listing.members)
    elif len(scenes) < len(SPLITS):
        raise UserError(
            f"{len(scenes)} labelled images under data.root={patterns[0]} can't be split into train, val and test: "
            "each split needs at least one image."
        )
    else:
        regions = split_by_fractions(scenes, split, seed=seed)
    coordinates = read_coordinates(scenes, folder, rules, num_frames=rasters.num_frames, file_column=file_column)
    return Collection(scenes, regions, kind, tiling, coordinates, rasters.num_frames)


def _folder_name(image: ListedImage, root: Path, pattern: str) -> str:
    if image.path.parent == root:
        raise UserError(
            f"{image.name} lies in data.root={root} itself, but the class of an image is the name of its folder. Write "
            f"data.images=*/*.tif in place of {pattern}, or name the classes in a table (data.table)."
        )
    return image.path.parent.name


def _check_columns(listing: ImageListing, names: Sequence[str], key: str) -> None:
    for name in names:
        if name not in listing.columns:
            raise UserError(f"{listing.lists[0]} has no column {name!r} ({key}). {choices(name, listing.columns)}")


def _filled(image: ListedImage, column: str) -> str:
    if not image.row[column]:
        raise UserError(f"{image.where}: {image.name} has no {column}. Fill it in, or take the row out.")
    return image.row[column]


def _place(name: str, known: Mapping[str, int], image: ListedImage) -> int:
    if name not in known:
        raise UserError(f"{image.where}: data.class_names has no {name!r}. {choices(name, known)}")
    return known[name]


def _decision(image: ListedImage, column: str) -> int:
    cell = image.row[column]
    decisions = {"0": 0, "1": 1, "": UNKNOWN, "-1": UNKNOWN}
    if cell not in decisions:
        raise UserError(
            f"{image.where}: {column} is {cell!r}; it is 1 (has the class), 0 (has it not), or empty (unknown). "
            "Columns that are no classes are left out by naming the others in data.class_names; for a column of "
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
