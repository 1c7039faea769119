"""What a raster says of itself: checked once, before a pixel is read, by whoever reads it."""

import math
import os
import warnings
import xml.etree.ElementTree as ET
from itertools import count

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader
from rasterio.shutil import copy, delete

from geocompose.data.rasters.file import RasterPath, opened
from geocompose.data.rasters.vrt_sources import unused_by
from geocompose.errors import UserError
from geocompose.imagery.packing import Packing

_copies = count()


class Header:
    """What a raster says of itself.

    crs: coordinate reference system as text; None where there is none. transform: from (column, row) to its
        coordinates; None where there is none.
    nodata, descriptions, dtypes, packings: one per band. The nodata value is as declared: its type may not have it.
    alpha: the bands (counted from 0) that are flagged as alpha.
    indexed: the bands whose values are places in a colour table.
    masks: for each band which band's mask says where it is valid; None where the file has no such mask. A mask of the
        whole file, inside it or in an `.msk` beside it, is the first band's.
    itemsize: bytes of a value in the widest band.
    remarks: what is to be said of the file.
    """

    def __init__(self, dataset: DatasetReader) -> None:
        self.height: int = dataset.height
        self.width: int = dataset.width
        self.count: int = dataset.count
        self.crs: str | None = dataset.crs.to_string() if dataset.crs else None
        # GDAL says "identity" where a file has no georeference.
        self.transform: Affine | None = None if dataset.transform == Affine.identity() else dataset.transform
        self.remarks: list[str] = []
        if dataset.driver == "netCDF" and self.transform is None:
            self.remarks.append("it has no georeference, so that GDAL has the last row of its arrays at the top.")
        self.remarks += unused_by(dataset)
        self.descriptions: list[str | None] = list(dataset.descriptions)
        if self.descriptions == [None]:  # a variable of a NetCDF file is a band by its name
            self.descriptions = [dataset.tags(1).get("NETCDF_VARNAME")]
        self.packings = list(map(Packing.of_tags, dataset.scales, dataset.offsets, dataset.units))
        self.dtypes: list[str] = list(dataset.dtypes)
        self.itemsize = max(map(_bytes, dataset.dtypes))
        self.indexed = [band for band, what in enumerate(dataset.colorinterp) if what == ColorInterp.palette]
        self.alpha = [band for band, what in enumerate(dataset.colorinterp) if what == ColorInterp.alpha]
        flags = [set(flags) for flags in dataset.mask_flag_enums]
        self.masks: list[int | None] = [_mask(band, of_band) for band, of_band in enumerate(flags)]
        # A transparent colour of several bands is none of the values alone: only the mask knows.
        of_all = [{MaskFlags.per_dataset, MaskFlags.nodata} <= of_band for of_band in flags]
        self.nodata: list[int | float | None] = [
            None if of_colour else value for of_colour, value in zip(of_all, _declared(dataset), strict=True)
        ]


def _mask(band: int, flags: set[MaskFlags]) -> int | None:
    if MaskFlags.all_valid in flags or MaskFlags.alpha in flags or flags == {MaskFlags.nodata}:
        return None
    return 0 if MaskFlags.per_dataset in flags else band


def _declared(dataset: DatasetReader) -> list[int | float | None]:
    """Return the nodata value of each band as it is declared.

    rasterio passes over those that a band's type can't hold, and reads those of 64-bit numbers as doubles.
    """
    known: list[int | float | None] = list(dataset.nodatavals)
    wide = {"int64", "uint64"} & set(dataset.dtypes)
    if None not in known and not wide:
        return known
    # GDAL writes all that it knows of a file into a VRT, which is text; it reads no pixel.
    name = f"/vsimem/header-{os.getpid()}-{next(_copies)}.vrt"
    copy(dataset, name, driver="VRT")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(name) as text:
                described = ET.fromstring(text.tags(ns="xml:VRT")["xml:VRT"])
    finally:
        delete(name, driver="VRT")
    texts = [band.findtext("NoDataValue") for band in described.findall("VRTRasterBand")]
    return [_number(text) if text else value for text, value in zip(texts, known, strict=True)]


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


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
