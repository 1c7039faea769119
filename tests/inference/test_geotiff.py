"""The GeoTIFF that a prediction is: its grid, type, nodata, names, and that it is whole."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.transform import Affine

from geocompose.data.window import Window
from geocompose.errors import UserError
from geocompose.inference.geotiff import PredictionWriter, check_written
from tests.kit.inference_rasters import (
    NORTH_UP,
    above_zero,
    noise,
    one_hot_of_first_band,
    predict,
    read,
    variables,
    write,
)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return noise(tmp_path / "scene.tif")


@pytest.mark.parametrize(
    "transform",
    [NORTH_UP, Affine(8.66, 5.0, 5e5, 5.0, -8.66, 4e6), Affine(-10, 0, 5, 0, 10, 7)],
)
@pytest.mark.parametrize("content", ["classes", "probabilities"])
def test_projection_and_transform_are_kept_exactly(tmp_path, transform, content):
    source = write(tmp_path / "s.tif", np.ones((1, 30, 45), dtype="uint8"), ["RED"], transform=transform)
    predict(above_zero, source, tmp_path / "o.tif", content=content)
    with rasterio.open(source) as before, rasterio.open(tmp_path / "o.tif") as after:
        assert after.crs == before.crs
        assert after.transform == before.transform
        assert after.shape == before.shape


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_are_kept(tmp_path):
    points = [GroundControlPoint(row, col, 10.0 + col, 50.0 - row) for row, col in ((0, 0), (0, 9), (9, 0))]
    source = tmp_path / "s.tif"
    with rasterio.open(source, "w", driver="GTiff", height=10, width=10, count=1, dtype="uint8") as dataset:
        dataset.gcps = (points, rasterio.CRS.from_epsg(4326))
        dataset.set_band_description(1, "RED")
        dataset.write(np.ones((1, 10, 10), dtype="uint8"))
    predict(above_zero, source, tmp_path / "o.tif")
    with rasterio.open(tmp_path / "o.tif") as after:
        kept, crs = after.gcps
    assert [(p.row, p.col, p.x, p.y) for p in kept] == [(p.row, p.col, p.x, p.y) for p in points]
    assert crs.to_epsg() == 4326


def test_rational_polynomials_are_kept(tmp_path):
    cubic = [float(i) for i in range(20)]
    offsets = {f"{name}_off": 5.0 for name in ("height", "lat", "line", "long", "samp")}
    scales = {f"{name}_scale": 2.0 for name in ("height", "lat", "line", "long", "samp")}
    coefficients = {f"{name}_coeff": cubic for name in ("line_den", "line_num", "samp_den", "samp_num")}
    polynomials = RPC(**offsets, **scales, **coefficients)
    source = write(tmp_path / "s.tif", np.ones((1, 10, 10), dtype="uint8"), ["RED"], rpcs=polynomials)
    predict(above_zero, source, tmp_path / "o.tif")
    with rasterio.open(source) as before, rasterio.open(tmp_path / "o.tif") as after:
        assert after.rpcs.line_num_coeff == cubic
        assert after.rpcs == before.rpcs
    assert sorted(os.listdir(tmp_path)) == ["o.tif", "s.tif"]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_raster_without_a_grid_gives_a_prediction_without_one(tmp_path):
    source = write(tmp_path / "s.tif", np.ones((1, 10, 10), dtype="uint8"), ["RED"], crs=None, transform=None)
    predict(above_zero, source, tmp_path / "o.tif")
    with rasterio.open(tmp_path / "o.tif") as after:
        assert after.crs is None
        assert after.transform.is_identity


def test_classes_are_one_byte_with_names_and_colours(scene, tmp_path):
    summary = predict(above_zero, scene, tmp_path / "o.tif", names=["not_water", "water"])
    with rasterio.open(tmp_path / "o.tif") as dataset:
        classes = dataset.read(1)
        assert dataset.dtypes == ("uint8",)
        assert dataset.nodata == 255
        assert dataset.profile["tiled"]
        assert dataset.profile["compress"] == "deflate"
        assert dataset.descriptions == ("class",)
        assert json.loads(dataset.tags()["class_names"]) == ["not_water", "water"]
        colours = dataset.colormap(1)
    assert colours[1][:3] == (0, 114, 178)
    assert colours[0] != colours[1]
    expected = (read(scene)[0] > 0).astype("uint8")
    np.testing.assert_array_equal(classes, expected)
    assert summary.class_pixels == {"not_water": int((expected == 0).sum()), "water": int(expected.sum())}
    assert summary.nodata_pixels == 0


def test_probabilities_are_bands_named_after_their_classes(scene, tmp_path):
    predict(above_zero, scene, tmp_path / "o.tif", content="probabilities")
    with rasterio.open(tmp_path / "o.tif") as dataset:
        assert dataset.dtypes == ("float32", "float32")
        assert dataset.descriptions == ("low", "high")
        assert math.isnan(dataset.nodata)
        np.testing.assert_allclose(dataset.read().sum(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize(("num_classes", "dtype", "nodata"), [(255, "uint8", 255), (256, "uint16", 65_535)])
def test_nodata_is_no_class_and_the_type_holds_every_class(tmp_path, num_classes, dtype, nodata):
    values = np.array([[[0, 100, num_classes - 1, -5]]], dtype="int16")
    # Neither a nodata value of -1 nor 16 bits, whatever the classes are.
    source = write(tmp_path / "s.tif", values, ["RED"], nodata=-5)
    names = [str(i) for i in range(num_classes)]
    predict(one_hot_of_first_band(num_classes), source, tmp_path / "o.tif", names=names)
    with rasterio.open(tmp_path / "o.tif") as dataset:
        assert dataset.dtypes == (dtype,)
        assert dataset.nodata == nodata
        assert dataset.read(1).tolist() == [[0, 100, num_classes - 1, nodata]]


@pytest.mark.parametrize("size", [1, 7, 15, 17])
def test_rasters_smaller_than_a_block_are_written(tmp_path, size):
    source = write(tmp_path / "s.tif", np.ones((1, size, size), dtype="uint8"), ["RED"])
    predict(above_zero, source, tmp_path / "o.tif")
    assert (read(tmp_path / "o.tif") == 1).all()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_prediction_leaves_what_was_there_before(scene, tmp_path, error):
    target = tmp_path / "o.tif"
    predict(above_zero, scene, target)
    before = target.read_bytes()

    def interrupt(done: int, total: int) -> None:
        assert not [
            name for name in os.listdir(tmp_path) if name.endswith(".tif") and name not in ("scene.tif", "o.tif")
        ]
        raise error

    with pytest.raises(error):
        predict(lambda x: -above_zero(x), scene, target, progress=interrupt)
    assert target.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["o.tif", "scene.tif"]


def test_finished_prediction_replaces_the_old_one_and_what_described_it(scene, tmp_path):
    target = tmp_path / "new" / "folder" / "o.tif"
    predict(above_zero, scene, target)
    target.with_name("o.tif.ovr").write_bytes(b"overviews of the old raster")
    predict(lambda x: -above_zero(x), scene, target)
    np.testing.assert_array_equal(read(target)[0], read(scene)[0] <= 0)
    assert os.listdir(target.parent) == ["o.tif"]


def test_file_that_did_not_arrive_whole_is_refused(scene, tmp_path):
    with rasterio.open(scene) as like:
        writer = PredictionWriter(tmp_path / "o.tif", like, content="values", target=variables("moisture"))
        for row in (35, 0):  # in any order
            box = Window(row, 0, 35, 50)
            writer.write(box, np.full((1, 35, 50), row + 0.1), np.ones((35, 50), dtype=bool))
        writer.close()
    check_written(tmp_path / "o.tif", writer.checksum)
    with pytest.raises(UserError, match="doesn't hold what was written"):
        check_written(tmp_path / "o.tif", writer.checksum + np.uint64(1))
    os.truncate(tmp_path / "o.tif", os.path.getsize(tmp_path / "o.tif") - 200)
    with pytest.raises(UserError, match="can't be read back"):
        check_written(tmp_path / "o.tif", writer.checksum)


def test_full_disk_is_an_error_and_not_an_empty_prediction(scene, tmp_path):
    resource, signal = pytest.importorskip("resource"), pytest.importorskip("signal")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"could not be written.*Is the disk full"):
            predict(above_zero, scene, tmp_path / "o.tif", content="probabilities")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == ["scene.tif"]
