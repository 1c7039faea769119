"""Rasters without labels, for tasks that learn from images alone, and landscapes beside them. Free of torch."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from geocompose.data.coordinates.coordinates import Coordinates, read_coordinates
from geocompose.data.files.groups import groups_of
from geocompose.data.files.image_files import ImageListing, list_images
from geocompose.data.labels.reconstruction import ReconstructionLabels
from geocompose.data.loading import check_at_least
from geocompose.data.opened import Collection
from geocompose.data.raster_source import GeoTiffSource
from geocompose.data.rasters.label import NoLabel
from geocompose.data.scene import ArrayScene, Scene
from geocompose.data.split import SPLITS, whole_scenes
from geocompose.data.synthetic.kinds import LANDSCAPES
from geocompose.data.synthetic.scenes import landscapes, without_labels
from geocompose.data.tiling import GridTiling
from geocompose.data.window import Region
from geocompose.errors import UserError
from geocompose.imagery.units import Values

log = logging.getLogger("geocompose")

# What the landscapes' values are: see `geocompose.data.synthetic.sources.SyntheticSource`.
_LANDSCAPES = Values("reflectance_1e4", "BOA")
# What made-up landscapes don't have.
_WITHOUT = ("more_images", "dates", "positions", "groups", "offset", "scale")


@dataclass(frozen=True, kw_only=True, eq=False)
class GeoTiffReconstruction(GeoTiffSource):
    """Images without labels.

    split: of the images where there are several, of the columns from west to east where there is one.
    split_buffer_px: columns left out between the blocks of a single image.
    synthetic_scenes: how many made-up landscapes (six HLS bands in reflectance x 10000) are trained on beside the
        images; validation and test have the images alone. scene_px: their height and width. landscape: of which kind
        they are, see `geocompose.data.synthetic.sources.SyntheticSource`.
    tile_px: a sample is a cell of a grid over each region.
    """

    split_buffer_px: int = 0
    synthetic_scenes: int = 0
    landscape: Literal["context", "spectral"] = "context"
    scene_px: int = 256
    name: str = "geotiff_reconstruction"
    baselines: list[str] = field(default_factory=lambda: ["constant"])

    def __post_init__(self) -> None:
        """Check what can be checked without looking at a file."""
        super().__post_init__()
        check_at_least("synthetic_scenes", self.synthetic_scenes, 0)
        check_at_least("scene_px", self.scene_px, 32)
        if self.synthetic_scenes:
            self._check_beside()

    def open(self) -> Collection:
        """Return the rasters, and the landscapes beside them."""
        rasters, listing = self._rasters, self._listing
        scenes = rasters.scenes([(image.name, image.path, NoLabel()) for image in listing.images], self._partners)
        groups = None
        if self.groups is not None:
            groups = groups_of([scene.name for scene in scenes], self.groups, self._group_table)
        regions = self._split(scenes, listing.members, groups, self.split_buffer_px)
        coordinates = read_coordinates(scenes, self.folder, self._rules, num_frames=self.num_frames)
        values, left_out = self._known_values(scenes), listing.left_out
        kind, tiling = ReconstructionLabels(), GridTiling(self.tile_px)
        if not self.synthetic_scenes:
            return Collection(scenes, regions, kind, tiling, coordinates, self.num_frames, left_out, groups, values)
        every, training = self._with_landscapes(scenes, regions)
        return Collection(every, training, kind, tiling, Coordinates(), 1, left_out, None, self._of_both(values))

    @cached_property
    def _listing(self) -> ImageListing:
        return list_images(
            root=self.root,
            images=self.images,
            table=None,
            file_column="file",
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

    def _with_landscapes(
        self, scenes: Sequence[Scene], regions: Mapping[str, list[Region]]
    ) -> tuple[list[Scene], dict[str, list[Region]]]:
        """Return the scenes with landscapes behind them, and the regions with all of those in train."""
        make = partial(without_labels, LANDSCAPES[self.landscape].make_classes)
        drawn = landscapes(make, None, self.synthetic_scenes, self.scene_px, self.seed)
        made = [_off_the_map(one) for one in drawn]
        every: list[Scene] = [*scenes, *made]
        beside = whole_scenes(every, range(len(scenes), len(every)))
        return every, {split: [*regions[split], *(beside if split == "train" else [])] for split in SPLITS}

    def _of_both(self, values: Values) -> Values:
        """Return what is known of the values of images and landscapes together.

        Raises:
            UserError: the images are in another unit.
        """
        if values.unit != _LANDSCAPES.unit or values.more:
            raise UserError(
                f"data.synthetic_scenes={self.synthetic_scenes} are in {_LANDSCAPES.unit}, and the images in "
                f"{values.unit or 'no stated unit'}: one model reads both. Write data.unit={_LANDSCAPES.unit} if that "
                "is what the files hold, or data.synthetic_scenes=0."
            )
        if values.level == _LANDSCAPES.level:
            return values
        log.info(
            "The images are %s and the made-up landscapes beside them %s: the record states no level for both.",
            values.level or "of no stated level",
            _LANDSCAPES.level,
        )
        return replace(values, level=None)

    def _check_beside(self) -> None:
        """Refuse what made-up landscapes lack.

        Raises:
            UserError: names the key.
        """
        given = [key for key in _WITHOUT if getattr(self, key) is not None]
        given += ["num_frames"] if self.num_frames != 1 else []
        if given:
            raise UserError(
                f"data.synthetic_scenes={self.synthetic_scenes} stand beside images of one frame, of the same values "
                f"and without more of their own; data.{given[0]} is set. Leave it out, or set data.synthetic_scenes=0."
            )


def _off_the_map(scene: ArrayScene) -> ArrayScene:
    """Return a landscape without a place: it must not seem to overlap with a real image."""
    scene.crs = scene.transform = None
    return scene
