"""What all kinds of data on disk share: a folder of rasters, their bands, splits, dates and positions. No torch."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from geocompose.data.coordinates.coordinates import CoordinateRules, dates_of
from geocompose.data.declaration import DataSource
from geocompose.data.files.band_files import rasters_of, real_files
from geocompose.data.files.coordinate_tables import tables
from geocompose.data.files.file_names import data_folder, list_file
from geocompose.data.files.groups import group_table
from geocompose.data.files.more_images import match_more, partners, read_more
from geocompose.data.files.split_folders import FOLDERS, fractions_of
from geocompose.data.folds import split_by_fold
from geocompose.data.kept_pixels import memory_for_pixels
from geocompose.data.known_values import known_values
from geocompose.data.loading import check_number_or_auto
from geocompose.data.offsets import by_date, in_table, is_by_image
from geocompose.data.rasters.beside import files_beside
from geocompose.data.rasters.scene import RasterScene
from geocompose.data.rasters.scenes import SceneRasters
from geocompose.data.split import check_groups, split_by_fractions, split_by_members
from geocompose.data.window import Region
from geocompose.errors import UserError
from geocompose.imagery.missing_frames import check_rule
from geocompose.imagery.units import Values


@dataclass(frozen=True, kw_only=True, eq=False)
class GeoTiffSource(DataSource):
    """Rasters under a folder; what all of their kinds share.

    root, images: a folder, and a pattern in it; `**/` means any folder below, none included. Where it has `{band}`,
        each band of an image is a file, named after it: `*_{band}.tif`.
    name: the data set's name in records.
    band_names: the image's bands in file order; None means the names that the files carry. Of files of one band each,
        those that count, in this order.
    nodata: value of image pixels without data (NaN allowed), beside what each file says itself: the values that it
        declares, its masks and its alpha band.
    split: fractions for train, val and test, or `folders` where the images lie in folders called so; None means [0.6,
        0.2, 0.2]. split_files: lists of images for train, val
        and test, in place of fractions. split_rename: texts to replace in the names that they list.
    cache_mb: so much memory decoded pixels may take, those of training images first; what does not fit is read anew by
        windows. `auto` is a quarter of the memory that is free, shared with a sweep's other cells on this machine.
    num_frames: time steps in each image, one after the other: all bands of the first, then all of the second, ...;
        `band_names` are those of one. A pixel without data in one of them is without data.
    more_images: further rasters of each image on its grid, such as [{images: '*_S1Hand.tif', band_names: [VV, VH],
        nodata: nan}]: their bands come after the image's. See `geocompose.data.files.more_images.MoreImages`.
    dates: when images were taken: by their `file_name`, their `tags`, or a table. date_pattern, positions
        (`georeference` or a table): see `CoordinateRules`. They go to a backbone that takes them.
    unit, level, offset, scale, scale_tags: what the files' values are: see `Values`. Where the offset differs from file
        to file, it is `tags` (those of the files), `date` (what Sentinel-2 images have by their date, see
        `geocompose.data.offsets`: the date by `dates`, else by `file_name`), or a CSV file with the columns `file` and
        `offset`, or `offset_1`, `offset_2`, ... where an image has several frames.
    missing_frames: what becomes of a series of which a frame has no data at all: it does not count (`leave_out`), that
        frame is passed over by poolings over time that can (`mask`), or the run stops (`refuse`).
    groups: which images belong together, such as those of one event, and are kept within one split: see `groups_of`.
    allow_overlap: it is meant that splits overlap on the ground, or hold identical pixels; else that is refused.
    """

    root: str
    images: str
    name: str
    tile_px: int = 224
    band_names: list[str] | None = None
    nodata: float | None = None
    split: list[float] | Literal["folders"] | None = None
    split_files: dict[str, str] | None = None
    split_rename: dict[str, str] | None = None
    cache_mb: int | Literal["auto"] = "auto"
    num_frames: int = 1
    more_images: list[dict[str, Any]] | None = None
    dates: str | None = None
    date_pattern: str | None = None
    positions: str | None = None
    unit: Literal["reflectance", "reflectance_1e4", "dn", "db", "power", "uint8"] | None = None
    level: Literal["TOA", "BOA"] | None = None
    offset: float | str | None = None
    scale: float | None = None
    scale_tags: Literal["read", "ignore"] = "read"
    missing_frames: Literal["leave_out", "mask", "refuse"] = "leave_out"
    groups: str | None = None
    allow_overlap: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without looking at a file."""
        super().__post_init__()
        check_number_or_auto("cache_mb", self.cache_mb)
        check_rule(self.missing_frames)

    @property
    def title(self) -> str:
        """The data set's name in records."""
        return self.name

    @cached_property
    def values(self) -> Values:
        """What the values of the files are, as far as that is stated."""
        return Values(self.unit, self.level, self.offset, self.scale, self.allow_mismatch, self.scale_tags)

    def with_tags_unread(self) -> Self:
        """Return these data with their files' scale tags left unread, as those of a run's training were."""
        source = replace(self, scale_tags="ignore")
        source.__dict__["values"] = replace(source.values, presumed=True)  # what is said names the training, not a key
        return source

    @property
    def refuses_missing_frames(self) -> bool:
        """Whether a frame without data stops the run."""
        return self.missing_frames == "refuse"

    @property
    def allows_overlap(self) -> bool:
        """Whether it is meant that splits overlap on the ground or hold the same pixels."""
        return self.allow_overlap

    @property
    def cache_bytes(self) -> int:
        """How much memory decoded pixels may take and still be kept."""
        return memory_for_pixels() if self.cache_mb == "auto" else self.cache_mb * 2**20

    @property
    def folder(self) -> Path:
        """The folder `root`.

        Raises:
            UserError: it is not there.
        """
        return data_folder(self.root)

    @cached_property
    def input_files(self) -> list[Path]:
        """Images, what says their labels, tables, lists and further rasters, and what GDAL reads beside all rasters."""
        named = {"dates": self.dates, "positions": self.positions, "offset": self.offset}
        beside = tables(named, self.folder)
        for more in read_more(self.more_images):
            beside += tables({"offset": more.values.offset}, self.folder, more.values.group)
        further = [path for paths in self._partners for path in paths]
        rasters = rasters_of([*self._image_paths, *self._label_rasters, *further])
        listed = [path for path in (self._group_table,) if path is not None]
        stated = real_files([*self._image_paths, *self._label_paths, *listed, *beside, *further])
        return list(dict.fromkeys([*stated, *files_beside(rasters)]))

    @property
    @abstractmethod
    def _image_paths(self) -> list[Path]:
        """The images, in the order of the scenes."""

    @property
    @abstractmethod
    def _label_paths(self) -> list[Path]:
        """The files that say the images' labels and splits."""

    @cached_property
    def _group_table(self) -> Path | None:
        return group_table(self.folder, self.groups)

    def _split(
        self,
        scenes: Sequence[RasterScene],
        members: Mapping[str, Sequence[int]] | None,
        groups: Sequence[str] | None,
        buffer_px: int = 0,
    ) -> dict[str, list[Region]]:
        """Return the regions of each split: of its members, or by fold or fractions where these are None.

        Raises:
            UserError: splits or groups can't be; a fold of what is split by lists, folders or a table.
        """
        fold = self.cross_validation
        if fold is not None and members is not None:
            given = "data.split=folders" if self.split == FOLDERS else "the column split of data.table"
            given = given if self.split_files is None else "data.split_files"
            raise UserError(
                f"data.fold={fold.number} draws the splits of cross-validation, and {given} gives others. Keep one of "
                "the two: data.groups says which images belong together."
            )
        if members is None:
            shares = fractions_of(self.split)
            if fold is not None:
                if buffer_px:
                    raise UserError(
                        f"data.split_buffer_px={buffer_px} is for a single raster split into blocks, and data.fold="
                        f"{fold.number} for several images. Set data.split_buffer_px=0."
                    )
                return split_by_members(scenes, split_by_fold(len(scenes), fold, shares, seed=self.seed, groups=groups))
            return split_by_fractions(scenes, shares, seed=self.seed, buffer_px=buffer_px, groups=groups)
        regions = split_by_members(scenes, members)
        if groups is not None:
            check_groups(scenes, regions, groups)
        return regions

    @property
    def _label_rasters(self) -> list[Path]:
        """Those of `_label_paths` that are rasters."""
        return []

    @cached_property
    def _more_files(self) -> list[list[Path]]:
        return match_more(self.folder, self.more_images)

    @property
    def _beside(self) -> set[Path]:
        """The files that are further rasters of an image, not images themselves."""
        return set(real_files(path for paths in self._more_files for path in paths))

    @cached_property
    def _partners(self) -> list[list[Path]]:
        """For each entry of `more_images` the file of each image."""
        return partners(self.folder, self.images, self._image_paths, self.more_images, self._more_files)

    @property
    def _rasters(self) -> SceneRasters:
        masked = self.missing_frames == "mask"
        return SceneRasters(self.band_names, self.nodata, self.num_frames, self.more_images, self.bands, masked)

    @cached_property
    def _rules(self) -> CoordinateRules:
        pattern = self.date_pattern if self.dates is not None or self._dates_of_offsets is None else None
        return CoordinateRules(self.dates, pattern, self.positions)

    @cached_property
    def _dates_of_offsets(self) -> CoordinateRules | None:
        """Where the dates stand that say what was added to images; None where nothing asks for them."""
        if "date" not in (self.offset, *(more.values.offset for more in read_more(self.more_images))):
            return None
        return CoordinateRules(self.dates or "file_name", self.date_pattern)

    def _known_values(self, scenes: Sequence[RasterScene], file_column: str = "file") -> Values:
        """Give the rasters what was added to each, and return what is known of the values of all.

        Raises:
            UserError: an image has no date or row of a table that says what was added to it.
        """
        stated = [self.values, *(more.values for more in read_more(self.more_images))]
        names = [scene.name for scene in scenes]
        for values in filter(is_by_image, stated):
            if values.offset == "date":
                assert self._dates_of_offsets is not None
                dates = dates_of(scenes, self.folder, self._dates_of_offsets, self.num_frames, file_column)
                added = [by_date(when, values, name) for when, name in zip(dates, names, strict=True)]
            else:
                path = list_file(self.folder, str(values.offset), f"{values.group}.offset")
                added = in_table(path, names, file_column, num_frames=self.num_frames, group=values.group)
            for scene, own in zip(scenes, added, strict=True):
                for raster in scene.image.rasters:
                    if values.group == (raster.values.group if raster.is_further else self.values.group):
                        raster.added = own
        return known_values([scene.image for scene in scenes], self.values, say=True)
