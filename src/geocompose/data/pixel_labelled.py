"""Opening image rasters with a label raster each."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from geocompose.data.coordinates.coordinates import CoordinateRules, read_coordinates
from geocompose.data.files.file_names import data_folder
from geocompose.data.files.pairs import list_files
from geocompose.data.labels.base import Labels
from geocompose.data.labels.regression import RegressionLabels
from geocompose.data.labels.segmentation import SegmentationLabels
from geocompose.data.opened import Collection
from geocompose.data.rasters.image_rasters import ImageRasters
from geocompose.data.rasters.label import ClassRaster, NumberRaster, SceneLabel
from geocompose.data.split import split_by_fractions, split_by_members
from geocompose.data.tiling import GridTiling
from geocompose.errors import UserError


def open_class_rasters(
    *,
    root: str,
    images: str,
    labels: str,
    class_names: Sequence[str],
    band_names: Sequence[str] | None,
    nodata: float | None,
    label_nodata: float | None,
    ignore_index: int,
    split: Sequence[float] | None,
    split_files: Mapping[str, str] | None,
    split_rename: Mapping[str, str] | None,
    split_buffer_px: int,
    tile_px: int,
    dates: str | None,
    date_pattern: str | None,
    positions: str | None,
    num_frames: int,
    more_images: Sequence[Mapping[str, Any]] | None,
    seed: int,
) -> Collection:
    """Return rasters with a class for each pixel; reads headers alone. The arguments are those of `GeoTiffData`.

    Raises:
        UserError: files, headers or splits don't fit together.
    """
    return _open(
        SegmentationLabels(class_names, ignore_index),
        lambda path: ClassRaster(path, class_names, ignore_index, label_nodata),
        (root, images, labels),
        ImageRasters(band_names, nodata, num_frames, more_images),
        split,
        split_files,
        split_rename,
        split_buffer_px,
        tile_px,
        seed,
        CoordinateRules(dates, date_pattern, positions),
    )


def open_number_rasters(
    *,
    root: str,
    images: str,
    labels: str,
    variables: Sequence[str],
    band_names: Sequence[str] | None,
    nodata: float | None,
    label_nodata: float | None,
    normalize_target: str,
    split: Sequence[float] | None,
    split_files: Mapping[str, str] | None,
    split_rename: Mapping[str, str] | None,
    split_buffer_px: int,
    tile_px: int,
    dates: str | None,
    date_pattern: str | None,
    positions: str | None,
    num_frames: int,
    more_images: Sequence[Mapping[str, Any]] | None,
    seed: int,
) -> Collection:
    """Return rasters with numbers for each pixel; reads headers alone. The arguments are `GeoTiffRegressionData`'s.

    Raises:
        UserError: files, headers or splits don't fit together.
    """
    return _open(
        RegressionLabels(variables, normalize_target),
        lambda path: NumberRaster(path, variables, label_nodata),
        (root, images, labels),
        ImageRasters(band_names, nodata, num_frames, more_images),
        split,
        split_files,
        split_rename,
        split_buffer_px,
        tile_px,
        seed,
        CoordinateRules(dates, date_pattern, positions),
    )


def _open(
    kind: Labels,
    read_label: Callable[[Path], SceneLabel],
    patterns: tuple[str, str, str],
    rasters: ImageRasters,
    split: Sequence[float] | None,
    split_files: Mapping[str, str] | None,
    split_rename: Mapping[str, str] | None,
    split_buffer_px: int,
    tile_px: int,
    seed: int,
    rules: CoordinateRules,
) -> Collection:
    """Return rasters whose labels are of a kind. read_label: opens a label. patterns: root, images, labels."""
    if split is not None and split_files is not None:
        raise UserError(
            "data.split and data.split_files are both given; they exclude each other. Set one of them to null."
        )
    if split_files is not None and split_buffer_px:
        raise UserError(
            f"data.split_buffer_px={split_buffer_px} is for a single raster split into blocks; set it to 0 beside "
            "data.split_files."
        )
    tiling = GridTiling(tile_px)
    folder = data_folder(patterns[0])
    found = list_files(*patterns, split_files, split_rename, rasters.no_images(folder))
    named = [(pair.image.relative_to(folder).as_posix(), pair.image, read_label(pair.label)) for pair in found.pairs]
    scenes = rasters.scenes(folder, patterns[1], named)
    if found.members is None:
        regions = split_by_fractions(scenes, split, seed=seed, buffer_px=split_buffer_px)
    else:
        regions = split_by_members(scenes, found.members)
    coordinates = read_coordinates(scenes, folder, rules, num_frames=rasters.num_frames)
    return Collection(scenes, regions, kind, tiling, coordinates, rasters.num_frames)
