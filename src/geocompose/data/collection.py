"""Rasters of one folder as scenes and splits, and everything about them that can be checked without torch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from geocompose import bands as vocabulary
from geocompose.bands import HLS_BANDS
from geocompose.data import baselines
from geocompose.data.arguments import check_classes, check_loading
from geocompose.data.files import list_files
from geocompose.data.landscape import CLASS_NAMES
from geocompose.data.raster import RasterScene
from geocompose.data.split import split_by_fractions, split_by_members
from geocompose.data.statistics import scan
from geocompose.data.window import Region
from geocompose.errors import UserError

_LOADING = ("tile_px", "batch_size", "num_workers", "normalize", "rotation_deg")
_OPENING = (
    "root",
    "images",
    "labels",
    "class_names",
    "band_names",
    "nodata",
    "label_nodata",
    "ignore_index",
    "split",
    "split_files",
    "split_rename",
    "split_buffer_px",
    "seed",
)
_MOST_SCANNED_BYTES = 200 * 2**20  # about two seconds of reading


class Collection(NamedTuple):
    """Opened rasters, and which regions of them each split holds."""

    scenes: list[RasterScene]
    regions: dict[str, list[Region]]


def open_collection(
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
    seed: int,
) -> Collection:
    """Return the rasters with their splits; reads headers alone. The arguments are those of `GeoTiffData`.

    Raises:
        UserError: files, headers or splits don't fit together.
    """
    check_classes(class_names, ignore_index)
    if split is not None and split_files is not None:
        raise UserError(
            "data.split and data.split_files are both given; they exclude each other. Set one of them to null."
        )
    if split_files is not None and split_buffer_px:
        raise UserError(
            f"data.split_buffer_px={split_buffer_px} is for a single raster split into blocks; set it to 0 beside "
            "data.split_files."
        )
    found = list_files(root, images, labels, split_files, split_rename)
    scenes = [
        RasterScene(
            pair.image.relative_to(Path(root).expanduser()).as_posix(),
            pair.image,
            pair.label,
            class_names,
            ignore_index,
            band_names,
            nodata,
            label_nodata,
        )
        for pair in found.pairs
    ]
    if found.members is None:
        return Collection(scenes, split_by_fractions(scenes, split, seed=seed, buffer_px=split_buffer_px))
    return Collection(scenes, split_by_members(scenes, found.members))


class Preview(NamedTuple):
    """What a composition needs to know of data before anything is read for good."""

    bands: list[str]
    class_names: list[str]


def preflight(data: Mapping[str, Any], choose: Callable[[Sequence[str]], list[str]]) -> Preview:
    """Return what can be known of data in a second or two, and raise what would be raised after torch has been loaded.

    data: the resolved, plain mapping of a `conf/data` option. Rasters are opened, and all pixels checked where that
    takes no longer than a moment; where it would, `setup` checks them.
    choose: returns the bands to read, of those that there are.

    Raises:
        UserError: see `open_collection` and `geocompose.data.statistics.scan`.
    """
    check_loading(**{key: data[key] for key in _LOADING})
    if data.get("root") is None:
        return Preview(choose(HLS_BANDS), list(CLASS_NAMES))
    scenes, regions = open_collection(**{key: data[key] for key in _OPENING})
    available = scenes[0].band_names
    baselines.check(data["baselines"], data["class_names"], available)
    bands = choose(available)
    places = [vocabulary.positions(bands, scene.band_names, where=scene.name) for scene in scenes]
    if sum(scene.decoded_bytes(len(bands)) for scene in scenes) <= _MOST_SCANNED_BYTES:
        scan(scenes, places, regions, data["class_names"], data["ignore_index"])
    return Preview(bands, list(data["class_names"]))
