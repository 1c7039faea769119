"""The kinds of data that are rasters on disk, labelled per pixel or per image: declarations, without torch."""

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from geocompose.data.coordinates.coordinates import read_coordinates
from geocompose.data.files.band_files import shown
from geocompose.data.files.groups import groups_of
from geocompose.data.files.image_files import ImageListing, list_images
from geocompose.data.files.pairs import Listing, list_files
from geocompose.data.files.split_folders import FOLDERS
from geocompose.data.image_labels import classes_of_images, decisions_of_images, numbers_of_images
from geocompose.data.label_values import LabelCodes, text_values
from geocompose.data.labels.base import Labels
from geocompose.data.labels.regression import RegressionLabels
from geocompose.data.labels.segmentation import SegmentationLabels
from geocompose.data.opened import Collection
from geocompose.data.raster_source import GeoTiffSource
from geocompose.data.rasters.label import ClassRaster, ImageLabel, NumberRaster, SceneLabel
from geocompose.data.split import SPLITS
from geocompose.data.tiling import GridTiling, ImageTiling
from geocompose.errors import UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelLabelledRasters(GeoTiffSource):
    """Images and labels that are rasters on one grid.

    labels: pattern under `root`; what `*` matches in the names pairs an image with its label.
    label_nodata: value of unlabelled pixels, beside the label that means none and what each file says itself: the value
        that it declares, its mask and its alpha band.
    split: of the images where there are several, of the columns from west to east where there is one.
    split_buffer_px: columns left out between the blocks of a single image.
    tile_px: a sample is a cell of a grid over each region.
    """

    labels: str
    label_nodata: float | None = None
    split_buffer_px: int = 0

    @property
    @abstractmethod
    def _kind(self) -> Labels: ...

    @abstractmethod
    def _label(self, path: Path) -> SceneLabel: ...

    @cached_property
    def _listing(self) -> Listing:
        return list_files(
            self.root,
            self.images,
            self.labels,
            self.split_files,
            self.split_rename,
            self._beside,
            by_folder=self.split == FOLDERS,
        )

    @property
    def _image_paths(self) -> list[Path]:
        return [pair.image for pair in self._listing.pairs]

    @property
    def _label_rasters(self) -> list[Path]:
        return [pair.label for pair in self._listing.pairs]

    @property
    def _label_paths(self) -> list[Path]:
        return [*self._label_rasters, *self._listing.split_files]

    def open(self) -> Collection:
        """Return the rasters, with the labels of this kind."""
        if self.split is not None and self.split_files is not None:
            raise UserError(
                "data.split and data.split_files are both given; they exclude each other. Set one of them to null."
            )
        if (self.split_files is not None or self.split == FOLDERS) and self.split_buffer_px:
            beside = "data.split=folders" if self.split_files is None else "data.split_files"
            raise UserError(
                f"data.split_buffer_px={self.split_buffer_px} is for a single raster split into blocks; set it to 0 "
                f"beside {beside}."
            )
        kind, rasters, tiling, folder = self._kind, self._rasters, GridTiling(self.tile_px), self.folder
        pairs = self._listing.pairs
        named = [(shown(pair.image, folder), pair.image, self._label(pair.label)) for pair in pairs]
        scenes = rasters.scenes(named, self._partners)
        groups = None
        if self.groups is not None:
            groups = groups_of([scene.name for scene in scenes], self.groups, self._group_table)
        regions = self._split(scenes, self._listing.members, groups, self.split_buffer_px)
        coordinates = read_coordinates(scenes, folder, self._rules, num_frames=self.num_frames)
        values, left_out = self._known_values(scenes), self._listing.left_out
        return Collection(scenes, regions, kind, tiling, coordinates, self.num_frames, left_out, groups, values)


@dataclass(frozen=True, kw_only=True, eq=False)
class GeoTiffSegmentation(PixelLabelledRasters):
    """Rasters with a class for each pixel.

    class_names: the classes. ignore_index: the value of pixels without a label.
    label_values: for each class its value in the labels, or a list of several, such as [10, [20, 30]]; None means
        0, 1, 2, ... in the order of `class_names`.
    unlisted_labels: whether values that `label_values` does not list are refused, or read as no label (`ignore`).
    """

    class_names: list[str]
    ignore_index: int = -1
    label_values: list[int | list[int]] | None = None
    unlisted_labels: Literal["refuse", "ignore"] = "refuse"
    name: str = "geotiff"
    baselines: list[str] = field(default_factory=lambda: ["logistic"])

    @property
    def _kind(self) -> Labels:
        return SegmentationLabels(self.class_names, self.ignore_index)

    @cached_property
    def _codes(self) -> LabelCodes:
        return LabelCodes(self.class_names, self.ignore_index, self.label_values, self.unlisted_labels)

    def _label(self, path: Path) -> SceneLabel:
        return ClassRaster(path, self._codes, self.label_nodata, self.scale_tags)


@dataclass(frozen=True, kw_only=True, eq=False)
class GeoTiffRegression(PixelLabelledRasters):
    """Rasters with numbers to predict at each pixel.

    variables: names of the numbers. A label has one band per variable, in this order, or bands that carry these names.
        NaN means no label; infinity is refused.
    variable_units: the unit of each variable, in words, for figures, tables and maps; None: not stated.
    normalize_target: whether a model predicts in units of the training labels' deviation from their mean (`dataset`),
        or in the labels' own unit (`none`).
    """

    variables: list[str]
    variable_units: list[str] | None = None
    normalize_target: Literal["dataset", "none"] = "dataset"
    name: str = "geotiff_regression"
    baselines: list[str] = field(default_factory=lambda: ["constant", "linear"])

    @property
    def _kind(self) -> Labels:
        return RegressionLabels(self.variables, self.normalize_target, self.variable_units)

    def _label(self, path: Path) -> SceneLabel:
        return NumberRaster(path, self.variables, self.label_nodata, self.scale_tags)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageLabelledRasters(GeoTiffSource):
    """Images that have one label each.

    table: a CSV file with a header and one image per row; images that it lacks are left out. file_column: its column of
        image names, which are paths relative to `root`, file names, or these without extension.
    split: of the images, drawn by `seed` whatever their label; None means the table's column `split` (train, val or
        test in each row) if it has one, else [0.6, 0.2, 0.2].
    tile_px: a sample is an image; smaller ones are padded. fit: larger ones are refused, cropped (the centre; anywhere
        in training under `random_crop`), or resized until their longer side fits.
    """

    images: str = "**/*.tif"
    table: str | None
    file_column: str = "file"
    fit: Literal["refuse", "crop", "resize"] = "refuse"

    @abstractmethod
    def _labelled(self, listing: ImageListing) -> tuple[Labels, list[np.ndarray]]:
        """Return the kind of label, and that of each listed image."""

    @cached_property
    def _listing(self) -> ImageListing:
        return list_images(
            root=self.root,
            images=self.images,
            table=self.table,
            file_column=self.file_column,
            split=self.split,
            split_files=self.split_files,
            split_rename=self.split_rename,
            without=self._beside,
        )

    @property
    def _image_paths(self) -> list[Path]:
        return [image.path for image in self._listing.images]

    @property
    def _label_paths(self) -> list[Path]:
        return self._listing.lists

    def open(self) -> Collection:
        """Return the images, with their labels of this kind."""
        rasters, listing = self._rasters, self._listing
        kind, labels = self._labelled(listing)
        tiling = ImageTiling(self.tile_px, self.fit, random_crop=self.random_crop)
        named: list[tuple[str, Path, SceneLabel]] = [
            (image.name, image.path, ImageLabel(label)) for image, label in zip(listing.images, labels, strict=True)
        ]
        scenes = rasters.scenes(named, self._partners)
        tiling.check(scenes)
        if listing.members is None and len(scenes) < len(SPLITS):
            raise UserError(
                f"{len(scenes)} labelled images under data.root={self.root} can't be split into train, val and test: "
                "each split needs at least one image."
            )
        groups = None
        if self.groups is not None:
            names, rows = [scene.name for scene in scenes], [image.row for image in listing.images]
            groups = groups_of(names, self.groups, self._group_table, self.file_column, rows)
        regions = self._split(scenes, listing.members, groups)
        coordinates = read_coordinates(
            scenes, self.folder, self._rules, num_frames=self.num_frames, file_column=self.file_column
        )
        values, left_out = self._known_values(scenes, self.file_column), self._listing.left_out
        return Collection(scenes, regions, kind, tiling, coordinates, self.num_frames, left_out, groups, values)


@dataclass(frozen=True, kw_only=True, eq=False)
class GeoTiffClassification(ImageLabelledRasters):
    """Images with a class each, which is the name of the folder that an image lies in, or what `table` says.

    label_column: the table's column of class names.
    class_names: the classes in the order of a model's outputs; None means all that occur, sorted.
    label_values: for each class what stands for it in the table or as its folder's name, or a list of that, such as
        [10, [20, 30]]; None means its name.
    unlisted_labels: whether what `label_values` does not list is refused, or no label (`ignore`).
    """

    images: str = "*/*.tif"
    table: str | None = None
    label_column: str = "label"
    class_names: list[str] | None = None
    label_values: list[int | str | list[int | str]] | None = None
    unlisted_labels: Literal["refuse", "ignore"] = "refuse"
    name: str = "geotiff_classification"
    baselines: list[str] = field(default_factory=lambda: ["constant", "logistic"])

    def _labelled(self, listing: ImageListing) -> tuple[Labels, list[np.ndarray]]:
        where = (self.root, self.images, self.table)
        values = text_values(self.class_names, self.label_values, self.unlisted_labels)
        return classes_of_images(listing, where, self.label_column, self.class_names, values)


@dataclass(frozen=True, kw_only=True, eq=False)
class GeoTiffMultilabel(ImageLabelledRasters):
    """Images with any of the classes.

    label_column: the table's column of class names, separated by `;`; None means that each class has a column of its
        own, 1 where an image has it, 0 where it does not, and empty where that is unknown.
    class_names: the classes in the order of a model's outputs; None means all that occur.
    label_values, unlisted_labels: of the names in `label_column`, see `GeoTiffClassification`; what is ignored is no
        class of its image.
    """

    table: str
    label_column: str | None = None
    class_names: list[str] | None = None
    label_values: list[int | str | list[int | str]] | None = None
    unlisted_labels: Literal["refuse", "ignore"] = "refuse"
    name: str = "geotiff_multilabel"
    baselines: list[str] = field(default_factory=lambda: ["constant", "logistic"])

    def _labelled(self, listing: ImageListing) -> tuple[Labels, list[np.ndarray]]:
        values = text_values(self.class_names, self.label_values, self.unlisted_labels)
        return decisions_of_images(listing, self.file_column, self.label_column, self.class_names, values)


@dataclass(frozen=True, kw_only=True, eq=False)
class GeoTiffScalarRegression(ImageLabelledRasters):
    """Images with numbers.

    variables: the table's columns of numbers; an empty cell is unknown.
    variable_units, normalize_target: see `GeoTiffRegression`.
    """

    table: str
    variables: list[str]
    variable_units: list[str] | None = None
    normalize_target: Literal["dataset", "none"] = "dataset"
    name: str = "geotiff_scalar_regression"
    baselines: list[str] = field(default_factory=lambda: ["constant", "linear"])

    def _labelled(self, listing: ImageListing) -> tuple[Labels, list[np.ndarray]]:
        return numbers_of_images(listing, self.variables, self.normalize_target, self.variable_units)
