"""Maps of numbers: in their physical unit, each pixel in its place, no seam, and nodata that is no number."""

import math

import numpy as np
import pytest
import rasterio
import torch

from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from tests.kit.inference_rasters import first_band, predict, read, variables, write

SHAPES = [(64, 64), (40, 130), (130, 40), (20, 90), (90, 20), (20, 20), (1, 75), (33, 1), (1, 1)]


def rows_and_columns(path, height, width):
    rows, columns = np.mgrid[0:height, 0:width]
    return write(path, np.stack([rows, columns]).astype("int16"), ["row", "column"]), rows, columns


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize(("tile_px", "overlap_px"), [(32, 0), (32, 8), (32, 7)])
def test_rows_and_columns_come_out_as_numbers_where_they_went_in(tmp_path, height, width, tile_px, overlap_px):
    source, rows, columns = rows_and_columns(tmp_path / "s.tif", height, width)
    settings = {"content": "values", "tile_px": tile_px, "overlap_px": overlap_px, "bands": ["row", "column"]}
    target = variables("first", "second")
    predict(lambda pixels: pixels, source, tmp_path / "o.tif", target=target, **settings)
    np.testing.assert_array_equal(read(tmp_path / "o.tif"), np.stack([rows, columns]))
    settings["bands"] = ["column", "row"]
    predict(first_band, source, tmp_path / "o.tif", target=variables("first"), **settings)
    np.testing.assert_array_equal(read(tmp_path / "o.tif")[0], columns)


def test_a_map_of_numbers_has_no_seams(tmp_path):
    """A model that is wrong by up to 1 towards its window's border; the overlap cuts it off at every seam."""

    def worse_at_the_border(pixels: torch.Tensor) -> torch.Tensor:
        rows, columns = torch.meshgrid(*map(torch.arange, pixels.shape[2:]), indexing="ij")
        height, width = pixels.shape[2:]
        inside = torch.minimum(torch.minimum(rows, height - 1 - rows), torch.minimum(columns, width - 1 - columns))
        return pixels[:, 0] + 1 - (inside / 8).clamp(max=1)

    rows, columns = np.mgrid[0:100, 0:140]
    smooth = (rows + columns)[None].astype("float32") / 10
    source = write(tmp_path / "s.tif", smooth, ["RED"])
    predict(worse_at_the_border, source, tmp_path / "o.tif", target=variables("x"), content="values", overlap_px=16)
    error = np.abs(read(tmp_path / "o.tif")[0] - smooth[0])
    assert error[8:-8, 8:-8].max() < 1e-5
    predict(worse_at_the_border, source, tmp_path / "o.tif", target=variables("x"), content="values", overlap_px=0)
    assert np.abs(read(tmp_path / "o.tif")[0] - smooth[0])[8:-8, 8:-8].max() == pytest.approx(1, abs=1e-5)


def test_numbers_are_float32_bands_named_after_their_variables_with_nodata_nan(tmp_path):
    pixels = np.ones((2, 30, 20), dtype="int16")
    pixels[:, 4, 5] = -1
    source = write(tmp_path / "s.tif", pixels, ["RED", "GREEN"], nodata=-1)
    target = Target("regression", ("biomass", "height"), mean=(100.0, 10.0), std=(50.0, 2.0))
    summary = predict(
        lambda batch: batch, source, tmp_path / "o.tif", target=target, content="values", bands=["RED", "GREEN"]
    )
    with rasterio.open(tmp_path / "o.tif") as dataset, rasterio.open(source) as before:
        assert dataset.dtypes == ("float32", "float32")
        assert dataset.descriptions == ("biomass", "height")
        assert all(map(math.isnan, dataset.nodatavals))
        assert "class_names" not in dataset.tags()
        assert (dataset.crs, dataset.transform, dataset.shape) == (before.crs, before.transform, before.shape)
        values = dataset.read()
    assert np.isnan(values[:, 4, 5]).all()
    assert np.isnan(values).sum() == 2
    assert values[:, 0, 0].tolist() == [150.0, 12.0]
    assert summary.nodata_pixels == 1
    assert summary.class_pixels == {}
    assert summary.variables == {"biomass": (150.0, 150.0, 150.0), "height": (12.0, 12.0, 12.0)}


def test_a_raster_without_any_data_is_written_as_such(tmp_path):
    source = write(tmp_path / "s.tif", np.zeros((1, 40, 40), dtype="uint8"), ["RED"], nodata=0)
    summary = predict(first_band, source, tmp_path / "o.tif", target=variables("x"), content="values")
    assert np.isnan(read(tmp_path / "o.tif")).all()
    assert summary.nodata_pixels == 1600
    assert all(map(math.isnan, summary.variables["x"]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_an_output_of_another_precision_is_written_as_float32(tmp_path, dtype):
    source = write(tmp_path / "s.tif", np.full((1, 9, 9), 2, dtype="uint8"), ["RED"])
    target = variables("x", mean=1000.25, std=0.5)
    predict(lambda batch: batch[:, 0].to(dtype), source, tmp_path / "o.tif", target=target, content="values")
    assert (read(tmp_path / "o.tif") == 1001.25).all()


def test_numbers_that_are_none_are_refused(tmp_path):
    source = write(tmp_path / "s.tif", np.ones((1, 40, 9), dtype="uint8"), ["RED"])
    with pytest.raises(UserError, match="NaN or infinity for the 32 x 9 window at row 0, column 0"):
        predict(
            lambda batch: batch[:, 0] * math.nan, source, tmp_path / "o.tif", target=variables("x"), content="values"
        )
    assert not (tmp_path / "o.tif").exists()
