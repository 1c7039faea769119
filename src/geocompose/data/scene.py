"""A scene: an image with its label, read by windows. What splits, tiles and statistics know of the data."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from affine import Affine

from geocompose.data.planes import Planes
from geocompose.data.rasters.valid import Origin
from geocompose.data.window import Window
from geocompose.imagery.file_values import Stored
from geocompose.imagery.units import Conversion, conversions_of


class Scene(Protocol):
    """An image with its label.

    name: its name in errors and records.
    height, width: size in pixels.
    crs: coordinate reference system as text such as `EPSG:32633`; None where there is none.
    transform: from (column, row) to coordinates; None where there is none.
    band_names: the names of the image's bands, in its order.
    conversions: what is done to the values of each band when it is read; None leaves them all as they are.
    """

    name: str
    height: int
    width: int
    crs: str | None
    transform: Affine | None
    band_names: list[str]
    conversions: Sequence[Conversion] | None

    def origin_of(self, band: int) -> Origin:
        """Return where a band comes from, for errors."""

    def stored(self, band: int) -> tuple[Stored, ...]:
        """Return how a band is stored in each frame."""

    def absent_frames(self, bands: Sequence[int]) -> tuple[int, ...]:
        """Return which frames (from 0) have no data anywhere in the scene."""

    def masked_frames(self, bands: Sequence[int]) -> tuple[int, ...]:
        """Return which of them are passed over: their pixels mean nothing, and a pixel is valid without them."""

    def read_image(self, window: Window, bands: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the image, float32 (bands, height, width), and where it is valid, bool (height, width).

        A scene of several frames returns (bands, frames, height, width).
        A pixel is invalid where any of `bands` (places in `band_names`), in any frame, is declared nodata, which is a
        value of the file, before any conversion.
        """

    def read_planes(self, window: Window, bands: Sequence[int]) -> Planes:
        """Return the same pixels as they are stored, for who makes a sample of them without a copy between."""

    def read_label(self, window: Window) -> np.ndarray:
        """Return the label of a window, in the form that its kind has (`geocompose.data.labels`).

        That is classes, int64 (height, width), or numbers, float32 (variables, height, width), where pixels have
        labels; a class (), classes (classes) or numbers (variables) where the window as a whole has one.
        """


class OneFrame(ABC):
    """What scenes in no raster have in common: one frame, which is there, of numbers that are what they are."""

    name: str

    def stored(self, band: int) -> tuple[Stored, ...]:
        """Return that its numbers are what they are."""
        return (Stored(self.name),)

    def absent_frames(self, bands: Sequence[int]) -> tuple[int, ...]:
        """Return none."""
        return ()

    def masked_frames(self, bands: Sequence[int]) -> tuple[int, ...]:
        """Return none."""
        return ()

    def read_image(self, window: Window, bands: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the image, float32 (bands, height, width), and where it is valid, bool (height, width)."""
        planes = self.read_planes(window, bands)
        return planes.image(), planes.valid

    @abstractmethod
    def read_planes(self, window: Window, bands: Sequence[int]) -> Planes:
        """Return the same pixels as they are held."""


class ArrayScene(OneFrame):
    """A scene held in memory, made when it is first read.

    make: returns the image (bands, height, width) and the label of each pixel, integers (height, width) or numbers
        (variables, height, width). It must return the same arrays each time and be picklable, because a process that
        loads data may have to make them again.
    summary: returns the label of a window as a whole, from the labels of its pixels; None where pixels keep theirs.
    """

    def __init__(
        self,
        name: str,
        height: int,
        width: int,
        band_names: list[str],
        make: Callable[[], tuple[np.ndarray, np.ndarray]],
        crs: str | None = None,
        transform: Affine | None = None,
        summary: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.name = name
        self.height = height
        self.width = width
        self.crs = crs
        self.transform = transform
        self.band_names = list(band_names)
        self.conversions: Sequence[Conversion] | None = None
        self._make = make
        self._summary = summary
        self._made: tuple[np.ndarray, np.ndarray] | None = None

    def origin_of(self, band: int) -> Origin:
        """Return the scene's name: it is in no file."""
        return Origin(self.name, "data.nodata={}")

    def read_planes(self, window: Window, bands: Sequence[int]) -> Planes:
        """Return the image as it was made."""
        image = self._arrays()[0]
        valid = np.ones((window.height, window.width), dtype=bool)
        return Planes([image[band][window.slices] for band in bands], conversions_of(bands, self.conversions), valid)

    def read_label(self, window: Window) -> np.ndarray:
        """Return the label of a window, see `Scene`."""
        label = self._arrays()[1][..., *window.slices]
        label = label.astype(np.int64 if np.issubdtype(label.dtype, np.integer) else np.float32)
        return label if self._summary is None else self._summary(label)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_made": None}

    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        if self._made is None:
            image, label = self._make()
            assert image.shape == (len(self.band_names), self.height, self.width), image.shape
            assert label.shape[-2:] == (self.height, self.width), label.shape
            self._made = image, label
        return self._made
