"""Memory stays bounded however large the raster is; and the real thing."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from tests.kit.inference_rasters import NORTH_UP, UTM, predict, read
from tests.kit.shared import CHIP, needs_chip


def resident_mb() -> float:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("needs /proc to read the memory in use")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def big_raster(path: Path, side: int) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=4, dtype="float32", tiled=True, compress="deflate",
        blockxsize=512, blockysize=512, crs=UTM, transform=NORTH_UP, zlevel=1, interleave="band",
    ) as dataset:  # fmt: skip
        for index, name in enumerate(("BLUE", "GREEN", "RED", "NIR_NARROW"), 1):
            dataset.set_band_description(index, name)
            for _, window in dataset.block_windows(index):
                block = np.full((window.height, window.width), window.row_off - window.col_off, dtype="float32")
                dataset.write(block, index, window=window)
    return path


def growth_mb(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, cache_mb: int) -> float:
    """Return by how much the memory grows at most while `source` is predicted with a small cache of GDAL's."""
    monkeypatch.setattr("geocompose.inference.raster.BLOCK_CACHE_BYTES", cache_mb * 2**20)
    before, peak = resident_mb(), 0.0

    def watch(done: int, total: int) -> None:
        nonlocal peak
        peak = max(peak, resident_mb() - before)

    bands = ["BLUE", "GREEN", "RED", "NIR_NARROW"]
    predict(lambda x: x, source, target, bands=bands, names=bands, tile_px=512, overlap_px=64, progress=watch)
    return peak


def test_the_whole_scene_never_sits_in_memory(tmp_path, monkeypatch):
    source = big_raster(tmp_path / "big.tif", 4000)
    decoded_mb = 4000**2 * 4 * 4 / 2**20
    assert growth_mb(source, tmp_path / "o.tif", monkeypatch, cache_mb=16) < 0.75 * decoded_mb
    np.testing.assert_array_equal(read(tmp_path / "o.tif")[0, ::512, ::512], 0)


@pytest.mark.slow
def test_memory_stays_far_below_a_large_raster(tmp_path, monkeypatch):
    source = big_raster(tmp_path / "big.tif", 10_000)
    decoded_mb = 10_000**2 * 4 * 4 / 2**20
    assert growth_mb(source, tmp_path / "o.tif", monkeypatch, cache_mb=64) < 0.15 * decoded_mb


@needs_chip
def test_real_scene_is_predicted_on_its_own_grid(tmp_path):
    source = CHIP / "Spain_7370579_S2Hand.tif"

    def water_index(pixels: torch.Tensor) -> torch.Tensor:
        return torch.cat([pixels[:, 1:] - pixels[:, :1], pixels[:, :1] - pixels[:, 1:]], dim=1)

    names = ["not_water", "water"]
    bands = ["GREEN", "SWIR_1"]
    predict(water_index, source, tmp_path / "o.tif", bands=bands, names=names, tile_px=200, overlap_px=50)
    with rasterio.open(source) as before, rasterio.open(tmp_path / "o.tif") as after:
        assert (after.crs, after.transform, after.shape) == (before.crs, before.transform, before.shape)
        green, swir = before.read([3, 12]).astype(int)
        np.testing.assert_array_equal(after.read(1), green > swir)
