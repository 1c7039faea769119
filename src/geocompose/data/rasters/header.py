"""What a raster says of itself: checked once, before a pixel is read, by whoever reads it."""

import math

import numpy as np
from affine import Affine
from rasterio.io import DatasetReader

from geocompose.data.rasters.file import RasterPath, opened
from geocompose.errors import UserError
from geocompose.imagery.packing import Packing


class Header:
    """What a raster says of itself.

    crs: coordinate reference system as text; None where there is none. transform: from (column, row) to its
        coordinates; None where there is none.
    nodata, descriptions, dtypes, packings: one per band. itemsize: bytes of a value in the widest band.
    """

    def __init__(self, dataset: DatasetReader) -> None:
        self.height: int = dataset.height
        self.width: int = dataset.width
        self.count: int = dataset.count
        self.crs: str | None = dataset.crs.to_string() if dataset.crs else None
        # GDAL says "identity" where a file has no georeference.
        self.transform: Affine | None = None if dataset.transform == Affine.identity() else dataset.transform
        self.nodata: list[float | None] = list(dataset.nodatavals)
        self.descriptions: list[str | None] = list(dataset.descriptions)
        self.packings = list(map(Packing.of_tags, dataset.scales, dataset.offsets, dataset.units))
        self.dtypes: list[str] = list(dataset.dtypes)
        self.itemsize = max(map(_bytes, dataset.dtypes))


def _bytes(dtype: str) -> int:
    return 4 if dtype == "complex_int16" else np.dtype(dtype).itemsize  # GDAL has a type that numpy lacks


def read_header(path: RasterPath) -> Header:
    """Return the header of a raster.

    Raises:
        UserError: it is not a raster, see `geocompose.data.rasters.file.opened`, or its georeference is impossible.
    """
    header = Header(opened(path))
    _check_transform(path, header.transform)
    return header


def read_tags(path: RasterPath) -> dict[str, str]:
    """Return the tags of a raster, those about its imaging included.

    Raises:
        UserError: it is not a raster.
    """
    dataset = opened(path)
    return dataset.tags() | dataset.tags(ns="IMAGERY")


def _check_transform(path: RasterPath, transform: Affine | None) -> None:
    if transform is None:
        return
    numbers = tuple(transform)[:6]
    # Without an area, no coordinates lead back to a pixel.
    area = transform.a * transform.e - transform.b * transform.d
    if all(map(math.isfinite, numbers)) and area != 0:
        return
    shown = ", ".join(f"{number:g}" for number in numbers)
    raise UserError(
        f"{path} has a georeference that no grid can have: {shown} (x = first column + second row + third, and y "
        "likewise). Correct its geotransform, or remove it to have the raster read without a place."
    )
