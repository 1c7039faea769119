"""The scenes of a data set: which bands their rasters have, in how many frames, and which rasters belong together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from geocompose.data.files.more_images import read_more
from geocompose.data.loading import check_at_least
from geocompose.data.rasters.bands import BandNaming
from geocompose.data.rasters.image import RasterImage
from geocompose.data.rasters.label import SceneLabel
from geocompose.data.rasters.opening import image_rasters, one_image
from geocompose.data.rasters.remarks import say_remarks
from geocompose.data.rasters.scene import RasterScene

_RENAME = "Give one of them another name, with band_names in data.more_images or data.band_names."


@dataclass(frozen=True)
class SceneRasters:
    """How the rasters of a data set are read.

    band_names: names of its bands in file order, of one frame; None means those that the files carry.
    nodata: value of pixels without data (NaN allowed), beside what each file says itself.
    num_frames: time steps in each file, one after the other. more: see `geocompose.data.files.more_images.MoreImages`.
    bands: those that will be read; None means that it isn't known.

    masks_frames: see `geocompose.data.rasters.image.SceneImage`.

    Raises:
        UserError: no frame.
    """

    band_names: Sequence[str] | None = None
    nodata: float | None = None
    num_frames: int = 1
    more: Sequence[Mapping[str, Any]] | None = None
    bands: Sequence[str] | None = None
    masks_frames: bool = False

    def __post_init__(self) -> None:
        check_at_least("num_frames", self.num_frames, 1)

    def scenes(
        self, named: Sequence[tuple[str, Path, SceneLabel]], further: Sequence[Sequence[Path]]
    ) -> list[RasterScene]:
        """Return the scenes of images, each with its name, path and label; headers are read, no pixel.

        further: for each entry of `more` the file of each image.

        Raises:
            UserError: a raster has other bands, or a further one is on another grid.
        """
        naming = BandNaming(self.band_names, num_frames=self.num_frames)
        first = [image_rasters(path, naming, self.nodata, bands=self.bands) for _, path, _ in named]
        say_remarks(raster for rasters in first for raster in rasters)
        beside = [self._further(number, paths) for number, paths in enumerate(further)]
        say_remarks(label for _, _, label in named)
        images = [one_image(list(chain(*rasters)), rename=_RENAME) for rasters in zip(first, *beside, strict=True)]
        for image in images:
            image.masks_frames = self.masks_frames
        return [RasterScene(name, image, label) for (name, _, label), image in zip(named, images, strict=True)]

    def _further(self, number: int, paths: Sequence[Path]) -> list[list[RasterImage]]:
        """Return the rasters of an entry of `more` for each image."""
        more = read_more(self.more)[number]
        key = f"data.more_images[{number}].band_names"
        how = f"write band_names into entry {number} of data.more_images"
        naming = BandNaming(more.band_names, num_frames=self.num_frames, key=key, how=how)
        declare = f"nodata: {{}} in entry {number} of data.more_images"
        found = [image_rasters(path, naming, more.nodata, more.values, declare, bands=self.bands) for path in paths]
        say_remarks(raster for rasters in found for raster in rasters)
        return found
