"""Rasters with pixels that hold no data: by masks, by alpha bands, and by values that writers may refuse."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

from tests.kit.both_readers import TWO
from tests.kit.inference_rasters import NORTH_UP, UTM, write
from tests.kit.vrts import gdal_type, vrt_band, write_vrt

ONES = np.ones((2, 6, 7), dtype="float32")
HIDDEN = [[1, 2], [4, 0]]


def masked(path: Path, pixels: np.ndarray = ONES, names: list[str] = TWO, *, inside: bool, **profile: Any) -> Path:
    """Write a raster with a mask that hides `HIDDEN`."""
    mask = np.full(pixels.shape[1:], 255, "uint8")
    for row, column in HIDDEN:
        mask[row, column] = 0
    bands, height, width = pixels.shape
    size = {"count": bands, "height": height, "width": width, "dtype": pixels.dtype}
    georeference: dict[str, Any] = {"crs": UTM, "transform": NORTH_UP}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside),
        rasterio.open(path, "w", driver="GTiff", **size, **georeference, **profile) as raster,
    ):
        raster.write(pixels)
        raster.write_mask(mask)
        for index, name in enumerate(names, 1):
            raster.set_band_description(index, name)
    assert path.with_name(f"{path.name}.msk").exists() != inside
    return path


def with_alpha(path: Path, pixels: np.ndarray, names: list[str] | None) -> Path:
    """Write a raster whose last band is flagged as alpha."""
    bands, height, width = pixels.shape
    size = {"count": bands, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=UTM, transform=NORTH_UP, **size) as raster:
        # Before any pixel: afterwards it is not written.
        raster.colorinterp = [ColorInterp.gray, *[ColorInterp.undefined] * (bands - 2), ColorInterp.alpha]
        for index, name in enumerate(names or [], 1):
            raster.set_band_description(index, name)
        raster.write(pixels)
    return path


def declaring(path: Path, text: str, dtype: str, pixels: np.ndarray | None = None) -> Path:
    """A VRT whose bands declare nodata by this text, which writers of rasters may refuse."""
    inner = write(path.with_suffix(".inner.tif"), (ONES if pixels is None else pixels).astype(dtype))
    kind = gdal_type(dtype)
    return write_vrt(path, [vrt_band(i, name, kind, inner, nodata=text) for i, name in enumerate(TWO, 1)], 6, 7)
