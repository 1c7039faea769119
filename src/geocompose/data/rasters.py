"""Opening image rasters with a label raster each."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from geocompose.data.files import list_files
from geocompose.data.labels.base import Labels
from geocompose.data.labels.regression import RegressionLabels
from geocompose.data.labels.segmentation import SegmentationLabels
from geocompose.data.opened import Collection
from geocompose.data.raster import RasterScene
from geocompose.data.raster_label import ClassRaster, NumberRaster, SceneLabel
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
        band_names,
        nodata,
        split,
        split_files,
        split_rename,
        split_buffer_px,
        tile_px,
        seed,
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
        band_names,
        nodata,
        split,
        split_files,
        split_rename,
        split_buffer_px,
        tile_px,
        seed,
    )


def _open(
    kind: Labels,
    read_label: Callable[[Path], SceneLabel],
    patterns: tuple[str, str, str],
    band_names: Sequence[str] | None,
    nodata: float | None,
    split: Sequence[float] | None,
    split_files: Mapping[str, str] | None,
    split_rename: Mapping[str, str] | None,
    split_buffer_px: int,
    tile_px: int,
    seed: int,
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
    found = list_files(*patterns, split_files, split_rename)
    folder = Path(patterns[0]).expanduser()
    scenes = [
        RasterScene(pair.image.relative_to(folder).as_posix(), pair.image, read_label(pair.label), band_names, nodata)
        for pair in found.pairs
    ]
    if found.members is None:
        return Collection(scenes, split_by_fractions(scenes, split, seed=seed, buffer_px=split_buffer_px), kind, tiling)
    return Collection(scenes, split_by_members(scenes, found.members), kind, tiling)
