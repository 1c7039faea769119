"""Small rasters for the tests of the data."""

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

BANDS = ["BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1"]
GEOREFERENCE = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 30, 30)}


def write(path: Path, array: np.ndarray, descriptions=None, **profile) -> Path:
    """Write (bands, rows, columns) or (rows, columns) as a GeoTIFF."""
    array = array if array.ndim == 3 else array[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    size = {"count": array.shape[0], "height": array.shape[1], "width": array.shape[2], "dtype": array.dtype}
    with rasterio.open(path, "w", driver="GTiff", **(size | GEOREFERENCE | profile)) as target:
        target.write(array)
        for i, text in enumerate(descriptions or [], start=1):
            target.set_band_description(i, text)
    return path


def tag(path: Path, scale=1.0, offset=0.0, unit=None) -> Path:
    """Write GDAL's scale, offset and unit of every band into a raster."""
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = [scale] * target.count, [offset] * target.count
        if unit is not None:
            target.units = [unit] * target.count
    return path


def image(seed=0, height=40, width=60, bands=5, dtype="float32"):
    """Random digital numbers from 1 to 3000."""
    return np.random.default_rng(seed).integers(1, 3000, (bands, height, width)).astype(dtype)


def label(seed=0, height=40, width=60, classes=2, dtype="int16"):
    """Random classes."""
    return np.random.default_rng(seed + 100).integers(0, classes, (height, width)).astype(dtype)


def pair(root: Path, key="a", seed=0, nodata=None, **size) -> Path:
    """Write `<key>_img.tif` and `<key>_lab.tif` and return their folder."""
    write(root / f"{key}_img.tif", image(seed, **size), BANDS, nodata=nodata)
    write(root / f"{key}_lab.tif", label(seed, **size))
    return root


def arguments(root: Path, **changes) -> dict:
    """Arguments of geotiff for folders made by `pair`."""
    given = {"root": str(root), "images": "*_img.tif", "labels": "*_lab.tif", "class_names": ["land", "water"]}
    return given | {"tile_px": 16, "batch_size": 4, "dihedral": False} | changes
