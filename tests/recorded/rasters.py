"""The images that the recorded runs were trained on and asked about, from fixed seeds."""

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from geocompose.imagery.bands import HLS_BANDS

PLACE = {"driver": "GTiff", "crs": "EPSG:32630", "transform": from_origin(500000, 4200000, 10, 10)}


def write(path: Path, array: np.ndarray, names: tuple[str, ...] = (), **profile: object) -> Path:
    """Write an array (bands, rows, columns) as a GeoTIFF and return its path."""
    count, height, width = array.shape
    with rasterio.open(
        path, "w", **PLACE, height=height, width=width, count=count, dtype=array.dtype, **profile
    ) as file:
        file.write(array)
        for band, name in enumerate(names, 1):
            file.set_band_description(band, name)
    return path


def imagery(folder: Path) -> Path:
    """Write five pairs of an image of two frames of four bands and a map of numbers, and return their folder."""
    rng = np.random.default_rng(20251)
    folder.mkdir()
    for number in range(5):
        image = rng.integers(200, 4000, (8, 32, 48)).astype("uint16")
        write(folder / f"scene_{number}_image.tif", image)
        label = (image[:1].astype("float32") / 40 + image[5:6] / 80).astype("float32")
        write(folder / f"scene_{number}_label.tif", label, nodata=-1.0)
    return folder


def six_bands(path: Path) -> Path:
    """Write an image of Prithvi's six bands and return its path."""
    image = np.random.default_rng(20252).integers(200, 4000, (6, 40, 72)).astype("uint16")
    return write(path, image, HLS_BANDS)
