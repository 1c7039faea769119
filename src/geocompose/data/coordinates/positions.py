"""Where on earth an image lies: by its georeference, window by window, or as a table gives it."""

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from affine import Affine
from rasterio import CRS
from rasterio._err import CPLE_BaseError  # GDAL's own errors, which rasterio lets through without a public name
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform

from geocompose.data.window import Window
from geocompose.errors import UserError

_WGS84 = "EPSG:4326"


class Place(Protocol):
    """Where an image lies."""

    def at(self, window: Window) -> tuple[float, float]:
        """Return latitude and longitude (-180 to 180) of a window, in degrees (WGS84); NaN where they are unknown."""


@dataclass(frozen=True)
class FixedPlace:
    """One position for the whole image; NaN where it is unknown."""

    latitude: float
    longitude: float

    def at(self, window: Window) -> tuple[float, float]:
        """Return the image's position."""
        return self.latitude, self.longitude


@dataclass(frozen=True)
class Georeference:
    """The position of each window by the raster's grid: that of its centre.

    crs: coordinate reference system, such as `EPSG:32633`. transform: from (column, row) to its coordinates.
    """

    crs: str
    transform: Affine

    def at(self, window: Window) -> tuple[float, float]:
        """Return the position of the window's centre."""
        column, row = window.column + window.width / 2, window.row + window.height / 2
        # Spelt out because affine 2 multiplies with *, and affine 3 with @.
        x = self.transform.a * column + self.transform.b * row + self.transform.c
        y = self.transform.d * column + self.transform.e * row + self.transform.f
        longitudes, latitudes = transform(_crs(self.crs), _crs(_WGS84), [x], [y])
        # Some grids in degrees count longitudes from 0 to 360.
        return latitudes[0], longitudes[0] if -180 <= longitudes[0] <= 180 else (longitudes[0] + 180) % 360 - 180


def georeferenced(crs: str | None, grid: Affine | None, name: str, *, advice: str) -> Georeference:
    """Return the place of a raster by its grid.

    name: its name in errors. advice: what to do where it has no position, for errors.

    Raises:
        UserError: it has no grid, or one that does not lie on earth.
    """
    if crs is None or grid is None:
        raise UserError(f"{name} has no georeference, so its position is not known. {advice}")
    place = Georeference(crs, grid)
    try:
        latitude, longitude = place.at(Window(0, 0, 1, 1))
    except (CRSError, RasterioError, CPLE_BaseError) as error:
        raise UserError(
            f"{name}: its position can't be told from its coordinate reference system ({_short(error)}). {advice}"
        ) from error
    if not (np.isfinite([latitude, longitude]).all() and abs(latitude) <= 90):
        raise UserError(
            f"{name}: its georeference ({crs}) places its first pixel at latitude {latitude:g}, longitude "
            f"{longitude:g}, which is nowhere. {advice}"
        )
    return place


def check_position(latitude: float, longitude: float, where: str) -> None:
    """Refuse what is not a position on earth.

    Raises:
        UserError: `where` begins the message.
    """
    for name, value, most in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        if not abs(value) <= most:
            raise UserError(f"{where}: the {name} {value:g} is not between -{most} and {most} degrees.")


def _short(error: Exception) -> str:
    text = str(error).split("{")[0].strip(" .'")  # what follows is the whole system
    return text[:120]


@cache
def _crs(text: str) -> CRS:
    return CRS.from_user_input(text)
