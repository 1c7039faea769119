"""Which windows of a region are samples: a grid of tiles where pixels have labels, one per image where images have."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import get_args

from geocompose.data.fitting import Fit, fitted_window
from geocompose.data.loading import check_tile
from geocompose.data.scene import Scene
from geocompose.data.window import Region, grid
from geocompose.errors import UserError, choices


class Tiling(ABC):
    """How regions become samples of `tile_px` x `tile_px`."""

    def __init__(self, tile_px: int) -> None:
        check_tile(tile_px)
        self.tile_px = tile_px

    @abstractmethod
    def tiles(self, region: Region) -> list[Region]:
        """Return the windows of a region that are its samples."""


class GridTiling(Tiling):
    """Tiles side by side, cut off at the region's right and lower edge."""

    def tiles(self, region: Region) -> list[Region]:
        """Return the cells of a grid over the region."""
        return grid(region, self.tile_px)


class ImageTiling(Tiling):
    """One sample per image.

    fit: what becomes of images larger than a sample, see `geocompose.data.fitting.fitted_window`.
    random_crop: whether training draws its crops anywhere in the image.

    Raises:
        UserError: an unknown `fit`; `random_crop` without `fit=crop`.
    """

    def __init__(self, tile_px: int, fit: Fit, *, random_crop: bool = False) -> None:
        super().__init__(tile_px)
        if fit not in get_args(Fit):
            raise UserError(f"data.fit has no {fit!r}. {choices(fit, get_args(Fit))}")
        if random_crop and fit != "crop":
            raise UserError(
                f"data.random_crop=true cuts training samples out of larger images, which data.fit={fit} does not "
                "allow. Set data.fit=crop, or data.random_crop=false."
            )
        self.fit: Fit = fit

    def check(self, scenes: Sequence[Scene]) -> None:
        """Refuse images that are too large where `fit` does not say what becomes of them.

        Raises:
            UserError: names the first such image.
        """
        for scene in scenes:
            fitted_window(scene.height, scene.width, self.tile_px, self.fit, scene.name)

    def tiles(self, region: Region) -> list[Region]:
        """Return the one window that is read of an image."""
        top, left, height, width = region.window
        row, column, rows, columns = fitted_window(height, width, self.tile_px, self.fit, "")
        return [
            Region(
                region.scene, region.window._replace(row=top + row, column=left + column, height=rows, width=columns)
            )
        ]
