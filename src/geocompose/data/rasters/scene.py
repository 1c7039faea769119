"""A scene on disk: an image with its label, both read by windows."""

from collections.abc import Sequence

import numpy as np

from geocompose.data.planes import Planes
from geocompose.data.rasters.image import SceneImage
from geocompose.data.rasters.label import SceneLabel
from geocompose.data.rasters.valid import Origin
from geocompose.data.window import Window
from geocompose.imagery.file_values import Stored
from geocompose.imagery.units import Conversion


class RasterScene:
    """An image of one raster or several, and its label.

    name: how errors and records call it.

    Raises:
        UserError: the label has another size or place than the image.
    """

    def __init__(self, name: str, image: SceneImage, label: SceneLabel) -> None:
        self.name = name
        self.image = image
        self.label = label
        self.height, self.width, self.crs, self.transform = image.height, image.width, image.crs, image.transform
        self.band_names = image.band_names
        label.check_fits(image.path, image)

    @property
    def conversions(self) -> Sequence[Conversion] | None:
        """What is done to the values of each band when it is read; None leaves them all as they are."""
        return self.image.conversions

    @conversions.setter
    def conversions(self, conversions: Sequence[Conversion] | None) -> None:
        self.image.conversions = conversions

    @property
    def keep_decoded(self) -> bool:
        """Whether pixels stay in memory once they were read."""
        return self.image.keep_decoded

    @keep_decoded.setter
    def keep_decoded(self, keep: bool) -> None:
        self.image.keep_decoded = self.label.keep_decoded = keep

    def decoded_bytes(self, num_bands: int) -> int:
        """Return the most memory that `num_bands` of the image and the label take when they are kept decoded."""
        return self.image.decoded_bytes(num_bands) + self.label.decoded_bytes()

    def absent_frames(self, bands: Sequence[int]) -> tuple[int, ...]:
        """Return which frames have no data, see `geocompose.data.rasters.image.SceneImage`."""
        return self.image.absent_frames(bands)

    def masked_frames(self, bands: Sequence[int]) -> tuple[int, ...]:
        """Return which frames are passed over, see `geocompose.data.scene.Scene`."""
        return self.absent_frames(bands) if self.image.masks_frames else ()

    def origin_of(self, band: int) -> Origin:
        """Return where a band comes from, for errors."""
        raster = self.image.raster_of(band)
        return Origin(self.name if raster.path == self.image.path else str(raster.path), raster.declare)

    def stored(self, band: int) -> tuple[Stored, ...]:
        """Return how a band is stored in each frame."""
        return self.image.stored(band)

    def read_image(self, window: Window, bands: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the image and where it is valid, see `geocompose.data.scene.Scene`.

        Raises:
            UserError: a file can't be decoded, or a band of it holds complex numbers.
        """
        return self.image.read(window, bands)

    def read_planes(self, window: Window, bands: Sequence[int]) -> Planes:
        """Return the image as it is stored, see `geocompose.data.scene.Scene`.

        Raises:
            UserError: as `read_image`.
        """
        return self.image.read_planes(window, bands)

    def read_label(self, window: Window) -> np.ndarray:
        """Return the label of a window, see `geocompose.data.scene.Scene`.

        Raises:
            UserError: the file can't be decoded, or holds what its kind does not have.
        """
        return self.label.read(window)
