"""Pixels without data: known by declaration alone, unseen by the model, without prediction."""

import math
import os

import numpy as np
import pytest
import rasterio
import torch

from geocompose.errors import UserError
from tests.kit.inference_rasters import above_zero, predict, read, write


@pytest.mark.parametrize("content", ["classes", "probabilities"])
@pytest.mark.parametrize(("declared", "configured"), [(-9999.0, None), (None, -9999.0), (7.0, -9999.0)])
def test_pixel_with_nodata_in_any_band_has_no_prediction(tmp_path, content, declared, configured):
    pixels = np.ones((2, 40, 40), dtype="float32")
    pixels[0, 3, 5] = pixels[1, 35, 20] = -9999
    source = write(tmp_path / "s.tif", pixels, ["RED", "GREEN"], nodata=declared)
    summary = predict(
        lambda x: x, source, tmp_path / "o.tif", bands=["RED", "GREEN"], nodata=configured, content=content
    )
    with rasterio.open(tmp_path / "o.tif") as dataset:
        missing = dataset.dataset_mask() == 0
    assert sorted(map(tuple, np.argwhere(missing).tolist())) == [(3, 5), (35, 20)]
    assert summary.nodata_pixels == 2


def test_nodata_of_a_band_that_is_not_read_does_not_count(tmp_path):
    pixels = np.ones((2, 8, 8), dtype="uint8")
    pixels[1] = 0
    source = write(tmp_path / "s.tif", pixels, ["RED", "GREEN"], nodata=0)
    assert predict(above_zero, source, tmp_path / "o.tif").nodata_pixels == 0


def test_pixels_without_data_in_one_band_are_the_mean_of_every_band_to_the_model(tmp_path):
    pixels = np.full((2, 8, 8), 30, dtype="uint8")
    pixels[0, 2, 2] = 0
    source = write(tmp_path / "s.tif", pixels, ["RED", "GREEN"], nodata=0)
    seen = []

    def record(batch: torch.Tensor) -> torch.Tensor:
        seen.append(batch)
        return batch

    predict(record, source, tmp_path / "o.tif", bands=["RED", "GREEN"], mean=[10.0, 20.0], std=[5.0, 10.0])
    assert seen[0][0, :, 2, 2].tolist() == [0, 0]
    assert seen[0][0, :, 0, 0].tolist() == [4, 1]


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("float32", math.nan),
        ("float32", float(np.finfo("float32").min)),
        ("float64", math.nan),
        ("float64", -1e300),
    ],
)
def test_extreme_nodata_values_are_recognised(tmp_path, dtype, nodata):
    pixels = np.ones((1, 8, 8), dtype=dtype)
    pixels[0, 1, 2] = nodata
    source = write(tmp_path / "s.tif", pixels, ["RED"], nodata=nodata)
    predict(above_zero, source, tmp_path / "o.tif")
    assert np.argwhere(read(tmp_path / "o.tif")[0] == 255).tolist() == [[1, 2]]


def test_windows_without_data_never_reach_the_model(tmp_path):
    pixels = np.zeros((1, 64, 64), dtype="uint8")
    pixels[:, :10, :10] = 1
    source = write(tmp_path / "s.tif", pixels, ["RED"], nodata=0)
    seen = []
    predict(lambda x: seen.append(len(x)) or above_zero(x), source, tmp_path / "o.tif", overlap_px=0, batch_size=4)
    assert seen == [1]
    np.testing.assert_array_equal(read(tmp_path / "o.tif")[0] == 1, pixels[0] == 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_undeclared_nan_is_refused_with_its_position(tmp_path, bad):
    pixels = np.ones((2, 50, 60), dtype="float32")
    pixels[1, 41, 52] = bad
    source = write(tmp_path / "s.tif", pixels, ["RED", "GREEN"], nodata=0)
    with pytest.raises(UserError, match=rf"value {bad} in band 'GREEN' at row 41, column 52 .*action\.nodata={bad}"):
        predict(lambda x: x, source, tmp_path / "o.tif", bands=["RED", "GREEN"])
    assert os.listdir(tmp_path) == ["s.tif"]


@pytest.mark.filterwarnings("error")
def test_a_value_that_normalisation_makes_infinite_never_reaches_the_model(tmp_path):
    pixels = np.ones((1, 8, 8), dtype="float32")
    pixels[0, 2, 3] = -3.4e38
    source = write(tmp_path / "s.tif", pixels, ["RED"])
    with pytest.raises(UserError, match=r"value -3\.39.*e\+38 in band 'RED' at row 2, column 3 .*action\.nodata=-3"):
        predict(lambda x: above_zero(x.clamp(min=0)), source, tmp_path / "o.tif", std=[0.05])
    declared = write(tmp_path / "d.tif", pixels, ["RED"], nodata=-3.4e38)
    assert predict(above_zero, declared, tmp_path / "o.tif", std=[0.05]).nodata_pixels == 1
