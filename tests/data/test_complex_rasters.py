"""Training and prediction refuse a raster of complex numbers alike: no network learns from its real part alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geocompose.data.rasters.label import ImageLabel
from geocompose.data.rasters.raster import RasterScene
from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.inference.source import BandReader
from geocompose.inference.windows import Box


def _train(path: Path) -> None:
    RasterScene("a", path, ImageLabel(np.zeros(0)), ["VV"]).read_image(Window(0, 0, 4, 4), [0])


def _predict(path: Path) -> None:
    with rasterio.open(path) as dataset:
        BandReader(
            dataset, bands=["VV"], band_names=["VV"], training_names=None, mean=[0.0], std=[1.0], nodata=None
        ).read(Box(0, 0, 4, 4))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("read", [_train, _predict])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_refused_by_both_readers(tmp_path: Path, read: Callable[[Path], None], dtype: str) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", height=4, width=4, count=1, dtype=dtype) as raster:
        raster.write(np.full((1, 4, 4), 1 + 2j, dtype=dtype))
    with pytest.raises(UserError, match=rf"a\.tif holds complex numbers \({dtype}\).*amplitude"):
        read(path)
