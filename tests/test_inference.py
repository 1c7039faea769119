"""Prediction over rasters: every pixel in its place, its grid kept, nothing half-written, memory bounded."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.transform import Affine

from geocompose.errors import UserError
from geocompose.inference.raster import PredictionSummary, predict_raster
from geocompose.inference.source import open_raster
from geocompose.inference.target import check_written
from geocompose.inference.windows import plan_windows

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
UTM = rasterio.CRS.from_epsg(32630)
NORTH_UP = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 4_200_000.0)

SHAPES = [(64, 64), (40, 130), (130, 40), (97, 61), (20, 90), (90, 20), (20, 20), (1, 75), (33, 1)]
TILINGS = [(32, 0), (32, 8), (32, 7), (32, 31), (1, 0), (64, 20)]


def write(path: Path, pixels: np.ndarray, names: list[str] | None = None, **profile: Any) -> Path:
    """Write (bands, h, w) as a GeoTIFF with band descriptions."""
    bands, height, width = pixels.shape
    defaults: dict[str, Any] = {"crs": UTM, "transform": NORTH_UP}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=bands,
        dtype=pixels.dtype,
        **{**defaults, **profile},
    ) as dataset:
        dataset.write(pixels)
        for index, name in enumerate(names or [], 1):
            dataset.set_band_description(index, name)
    return path


def predict(
    logits: Callable[[torch.Tensor], torch.Tensor], source: Path, target: Path, **changed: Any
) -> PredictionSummary:
    arguments: dict[str, Any] = {
        "bands": ["RED"],
        "band_names": None,
        "mean": [0.0] * len(changed.get("bands", ["RED"])),
        "std": [1.0] * len(changed.get("bands", ["RED"])),
        "nodata": None,
        "tile_px": 32,
        "overlap_px": 8,
        "batch_size": 3,
        "output": "classes",
        "class_names": ["low", "high"],
    }
    return predict_raster(logits, source, target, **{**arguments, **changed})


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


def above_zero(pixels: torch.Tensor) -> torch.Tensor:
    return torch.cat([-pixels[:, :1], pixels[:, :1]], dim=1)


def one_hot_of_first_band(num_classes: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a pointwise model whose class is the value of the first band."""

    def logits(pixels: torch.Tensor) -> torch.Tensor:
        classes = torch.arange(num_classes).view(1, -1, 1, 1)
        return -((pixels[:, :1] - classes) ** 2)

    return logits


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).normal(size=(1, 70, 50)).astype("float32")
    return write(tmp_path / "scene.tif", pixels, ["RED"])


# --- the plan ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize(("tile_px", "overlap_px"), TILINGS)
def test_windows_write_every_pixel_once_and_away_from_their_borders(height, width, tile_px, overlap_px):
    written = np.zeros((height, width), dtype=int)
    for read_box, write_box in plan_windows(height, width, tile_px, overlap_px):
        assert (read_box.height, read_box.width) == (min(height, tile_px), min(width, tile_px))
        assert read_box.row >= 0
        assert read_box.col >= 0
        assert read_box.row + read_box.height <= height
        assert read_box.col + read_box.width <= width
        written[write_box.row : write_box.row + write_box.height, write_box.col : write_box.col + write_box.width] += 1
        margins = [
            (write_box.row - read_box.row, read_box.row == 0),
            (write_box.col - read_box.col, read_box.col == 0),
            (
                read_box.row + read_box.height - write_box.row - write_box.height,
                read_box.row + read_box.height == height,
            ),
            (read_box.col + read_box.width - write_box.col - write_box.width, read_box.col + read_box.width == width),
        ]
        assert all(margin >= overlap_px // 2 or at_the_edge for margin, at_the_edge in margins)
    assert (written == 1).all()


def test_windows_come_row_by_row():
    corners = [(window.write.row, window.write.col) for window in plan_windows(100, 70, 32, 8)]
    assert corners == sorted(corners)


@pytest.mark.parametrize("overlap_px", [-1, 32, 40])
def test_overlap_of_a_whole_tile_is_refused(overlap_px):
    with pytest.raises(UserError, match=r"overlap_px=.* can share 0 to 31"):
        plan_windows(100, 100, 32, overlap_px)


def test_tile_without_pixels_is_refused():
    with pytest.raises(UserError, match=r"tile_px=0.*at least one pixel"):
        plan_windows(100, 100, 0, 0)


# --- every pixel in its place -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), SHAPES)
@pytest.mark.parametrize(("tile_px", "overlap_px"), [(32, 0), (32, 8), (32, 7)])
def test_rows_and_columns_come_out_where_they_went_in(tmp_path, height, width, tile_px, overlap_px):
    rows, cols = np.mgrid[0:height, 0:width]
    source = write(tmp_path / "grid.tif", np.stack([rows, cols]).astype("int16"), ["row", "col"])
    for first, expected in (("row", rows), ("col", cols)):
        target = tmp_path / f"{first}.tif"
        others = [name for name in ("row", "col") if name != first]
        predict(
            one_hot_of_first_band(140),
            source,
            target,
            bands=[first, *others],
            tile_px=tile_px,
            overlap_px=overlap_px,
            class_names=[str(i) for i in range(140)],
        )
        np.testing.assert_array_equal(read(target)[0], expected)


@pytest.mark.parametrize(("height", "width"), [(70, 50), (20, 90), (90, 20)])
def test_probabilities_come_out_where_they_belong(tmp_path, height, width):
    rows, cols = np.mgrid[0:height, 0:width]
    source = write(tmp_path / "grid.tif", np.stack([rows / height, cols / width]).astype("float32"), ["row", "col"])
    predict(lambda pixels: pixels, source, tmp_path / "p.tif", bands=["row", "col"], output="probabilities")
    expected = torch.from_numpy(np.stack([rows / height, cols / width])).float().softmax(dim=0).numpy()
    np.testing.assert_allclose(read(tmp_path / "p.tif"), expected, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(100, 100), (40, 130), (130, 40), (20, 90)])
@pytest.mark.parametrize("overlap_px", [0, 6, 7])
def test_no_written_pixel_comes_from_a_window_s_margin(tmp_path, height, width, overlap_px):
    margin = overlap_px // 2

    def marks_its_margin(pixels: torch.Tensor) -> torch.Tensor:
        inside = torch.zeros(len(pixels), 1, *pixels.shape[2:])
        inside[..., margin : pixels.shape[2] - margin, margin : pixels.shape[3] - margin] = 1
        return torch.cat([1 - inside, inside], dim=1)

    source = write(tmp_path / "flat.tif", np.ones((1, height, width), dtype="uint8"), ["RED"])
    predict(marks_its_margin, source, tmp_path / "out.tif", overlap_px=overlap_px)
    inside = read(tmp_path / "out.tif")[0]
    # At the raster's own edge there is nothing beyond the window, so the margin is written there and only there.
    edge = np.ones((height, width), dtype=bool)
    edge[margin : height - margin, margin : width - margin] = False
    np.testing.assert_array_equal(inside == 0, edge)


def test_bands_are_chosen_by_name_and_normalised(tmp_path):
    pixels = np.stack([np.full((20, 20), value) for value in (100, 250, 300)]).astype("uint16")
    source = write(tmp_path / "s2.tif", pixels, ["B2", "B4", "B8A"])
    seen = []

    def record(batch: torch.Tensor) -> torch.Tensor:
        seen.append(batch)
        return batch[:, :2]

    predict(record, source, tmp_path / "o.tif", bands=["NIR_NARROW", "RED"], mean=[200.0, 50.0], std=[50.0, 100.0])
    assert seen[0].dtype == torch.float32
    assert seen[0].shape == (1, 2, 20, 20)
    assert (seen[0][:, 0] == 2).all()
    assert (seen[0][:, 1] == 2).all()


def test_bands_without_names_are_taken_from_band_names(tmp_path):
    source = write(tmp_path / "s.tif", np.stack([np.zeros((9, 9)), np.ones((9, 9))]).astype("float32"))
    predict(one_hot_of_first_band(2), source, tmp_path / "o.tif", band_names=["B3", "B4"])
    assert (read(tmp_path / "o.tif") == 1).all()


def test_batches_hold_no_more_windows_than_asked_for(scene, tmp_path):
    sizes, steps = [], []

    def record(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(batch.shape))
        return above_zero(batch)

    summary = predict(record, scene, tmp_path / "o.tif", batch_size=4, progress=lambda *step: steps.append(step))
    assert sizes == [(4, 1, 32, 32), (2, 1, 32, 32)]
    assert steps == [(4, 6), (6, 6)]
    assert summary["windows"] == 6


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transform",
    [NORTH_UP, Affine(8.66, 5.0, 5e5, 5.0, -8.66, 4e6), Affine(-10, 0, 5, 0, 10, 7)],
)
@pytest.mark.parametrize("output", ["classes", "probabilities"])
def test_projection_and_transform_are_kept_exactly(tmp_path, transform, output):
    source = write(tmp_path / "s.tif", np.ones((1, 30, 45), dtype="uint8"), ["RED"], transform=transform)
    predict(above_zero, source, tmp_path / "o.tif", output=output)
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
    summary = predict(above_zero, scene, tmp_path / "o.tif", class_names=["not_water", "water"])
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
    assert summary["class_pixels"] == {"not_water": int((expected == 0).sum()), "water": int(expected.sum())}
    assert summary["nodata_pixels"] == 0


def test_probabilities_are_bands_named_after_their_classes(scene, tmp_path):
    predict(above_zero, scene, tmp_path / "o.tif", output="probabilities")
    with rasterio.open(tmp_path / "o.tif") as dataset:
        assert dataset.dtypes == ("float32", "float32")
        assert dataset.descriptions == ("low", "high")
        assert math.isnan(dataset.nodata)
        np.testing.assert_allclose(dataset.read().sum(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize(("num_classes", "dtype", "nodata"), [(255, "uint8", 255), (256, "uint16", 65_535)])
def test_nodata_never_collides_with_a_class(tmp_path, num_classes, dtype, nodata):
    values = np.array([[[0, 100, num_classes - 1, -5]]], dtype="int16")
    source = write(tmp_path / "s.tif", values, ["RED"], nodata=-5)
    names = [str(i) for i in range(num_classes)]
    predict(one_hot_of_first_band(num_classes), source, tmp_path / "o.tif", class_names=names)
    with rasterio.open(tmp_path / "o.tif") as dataset:
        assert dataset.dtypes == (dtype,)
        assert dataset.nodata == nodata
        assert dataset.read(1).tolist() == [[0, 100, num_classes - 1, nodata]]


@pytest.mark.parametrize("size", [1, 7, 15, 17])
def test_rasters_smaller_than_a_block_are_written(tmp_path, size):
    source = write(tmp_path / "s.tif", np.ones((1, size, size), dtype="uint8"), ["RED"])
    predict(above_zero, source, tmp_path / "o.tif")
    assert (read(tmp_path / "o.tif") == 1).all()


# --- nodata -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["classes", "probabilities"])
@pytest.mark.parametrize(("declared", "configured"), [(-9999.0, None), (None, -9999.0), (7.0, -9999.0)])
def test_pixel_with_nodata_in_any_band_has_no_prediction(tmp_path, output, declared, configured):
    pixels = np.ones((2, 40, 40), dtype="float32")
    pixels[0, 3, 5] = pixels[1, 35, 20] = -9999
    source = write(tmp_path / "s.tif", pixels, ["RED", "GREEN"], nodata=declared)
    summary = predict(lambda x: x, source, tmp_path / "o.tif", bands=["RED", "GREEN"], nodata=configured, output=output)
    with rasterio.open(tmp_path / "o.tif") as dataset:
        missing = dataset.dataset_mask() == 0
    assert sorted(map(tuple, np.argwhere(missing).tolist())) == [(3, 5), (35, 20)]
    assert summary["nodata_pixels"] == 2


def test_nodata_of_a_band_that_is_not_read_does_not_count(tmp_path):
    pixels = np.ones((2, 8, 8), dtype="uint8")
    pixels[1] = 0
    source = write(tmp_path / "s.tif", pixels, ["RED", "GREEN"], nodata=0)
    assert predict(above_zero, source, tmp_path / "o.tif")["nodata_pixels"] == 0


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
    with pytest.raises(UserError, match=rf"value {bad} in band 'GREEN' at row 41, column 52 .* write nodata={bad}"):
        predict(lambda x: x, source, tmp_path / "o.tif", bands=["RED", "GREEN"])
    assert os.listdir(tmp_path) == ["s.tif"]


# --- nothing half-written ---------------------------------------------------------------------------------------------


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
    summary = predict(above_zero, scene, tmp_path / "o.tif")
    counts = np.array(list(summary["class_pixels"].values()))
    check_written(tmp_path / "o.tif", "classes", counts)
    with pytest.raises(UserError, match="doesn't hold what was written"):
        check_written(tmp_path / "o.tif", "classes", counts + np.array([1, -1]))
    os.truncate(tmp_path / "o.tif", os.path.getsize(tmp_path / "o.tif") - 200)
    with pytest.raises(UserError, match="can't be read back"):
        check_written(tmp_path / "o.tif", "classes", counts)


def test_full_disk_is_an_error_and_not_an_empty_prediction(scene, tmp_path):
    resource, signal = pytest.importorskip("resource"), pytest.importorskip("signal")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"could not be written.*Is the disk full"):
            predict(above_zero, scene, tmp_path / "o.tif", output="probabilities")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == ["scene.tif"]


# --- what a user may get wrong ----------------------------------------------------------------------------------------


def test_missing_source_is_named_with_the_nearest_file(scene, tmp_path):
    with pytest.raises(UserError, match=r"no raster .*scne.tif. Did you mean .*scene.tif"):
        predict(above_zero, tmp_path / "scne.tif", tmp_path / "o.tif")
    with pytest.raises(UserError, match=r"no raster .*Its folder /nowhere doesn't exist either"):
        predict(above_zero, Path("/nowhere/zzz.tif"), tmp_path / "o.tif")


def test_source_that_is_no_raster_is_refused(tmp_path):
    (tmp_path / "text.tif").write_text("not a raster")
    with pytest.raises(UserError, match="can't be read as a raster"):
        open_raster(tmp_path / "text.tif")
    with pytest.raises(UserError, match="Name one raster file"):
        open_raster(tmp_path)


def test_damaged_source_is_refused_with_the_place(tmp_path):
    pixels = np.random.default_rng(0).normal(size=(1, 200, 200)).astype("float32")
    source = write(tmp_path / "s.tif", pixels, ["RED"], compress="deflate")
    with open(source, "rb+") as file:
        file.seek(os.path.getsize(source) // 2)
        file.write(bytes(10_000))
    with pytest.raises(UserError, match=r"can't be read at rows \d+-\d+, columns \d+-\d+; is it complete"):
        predict(above_zero, source, tmp_path / "o.tif")


def test_complex_source_is_refused(tmp_path):
    source = write(tmp_path / "s.tif", np.ones((1, 4, 4), dtype="complex64"), ["RED"])
    with pytest.raises(UserError, match=r"complex numbers \(complex64\)"):
        predict(above_zero, source, tmp_path / "o.tif")


def test_source_as_target_is_refused(scene, tmp_path):
    before = scene.read_bytes()
    (tmp_path / "link.tif").symlink_to(scene)
    for target in (scene, tmp_path / "." / "scene.tif", tmp_path / "link.tif"):
        with pytest.raises(UserError, match="is the raster to be predicted"):
            predict(above_zero, scene, target)
    assert scene.read_bytes() == before


def test_targets_that_cannot_be_written_are_refused(scene, tmp_path):
    with pytest.raises(UserError, match="Name the file to write"):
        predict(above_zero, scene, tmp_path)
    with pytest.raises(UserError, match=r"should end with .tif or .tiff"):
        predict(above_zero, scene, tmp_path / "o.png")
    with pytest.raises(UserError, match=r"folder .* can't be made"):
        predict(above_zero, scene, scene / "below" / "o.tif")


def test_bands_that_are_not_there_are_named(scene, tmp_path):
    with pytest.raises(UserError, match=r"has no band 'GREEN'.* It has: RED"):
        predict(lambda x: x, scene, tmp_path / "o.tif", bands=["RED", "GREEN"])


def test_bands_without_names_are_never_guessed(tmp_path):
    source = write(tmp_path / "s.tif", np.ones((2, 4, 4), dtype="uint8"))
    with pytest.raises(UserError, match=r"has 2 bands without names. The model wants RED. .*band_names=\[\.\.\.\]"):
        predict(above_zero, source, tmp_path / "o.tif")
    with pytest.raises(UserError, match=r"2 bands, and action.band_names has 3: B2, B3, B4. The model wants RED"):
        predict(above_zero, source, tmp_path / "o.tif", band_names=["B2", "B3", "B4"])


def test_band_that_is_there_twice_is_refused(tmp_path):
    source = write(tmp_path / "s.tif", np.ones((3, 4, 4), dtype="uint8"), ["B4", "GREEN", "RED"])
    with pytest.raises(UserError, match=r"band 'RED' more than once \(bands 1, 3\)"):
        predict(above_zero, source, tmp_path / "o.tif")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"output": "clases"}, "Unknown output 'clases'. Did you mean 'classes'"),
        ({"batch_size": 0}, "batch_size=0: write how many windows"),
        ({"overlap_px": 32}, "overlap_px=32"),
        ({"class_names": ["one"]}, "2 to 65535 classes, got 1"),
        ({"class_names": ["one", "one"]}, "Two classes have one name"),
        ({"mean": [1.0, 2.0]}, "got 1 bands, 2 means and 1 standard deviations"),
        ({"std": [0.0]}, "'RED' can't be normalised with mean 0.0 and standard deviation 0.0"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(scene, tmp_path, changed, message):
    with pytest.raises(UserError, match=message):
        predict(above_zero, scene, tmp_path / "o.tif", **changed)
    assert os.listdir(tmp_path) == ["scene.tif"]


def test_logits_of_another_size_are_refused(scene, tmp_path):
    with pytest.raises(UserError, match=r"returned 3 x 2 x 16 x 32 for 3 x 1 x 32 x 32; .* 3 x 2 x 32 x 32"):
        predict(lambda x: above_zero(x)[:, :, ::2], scene, tmp_path / "o.tif")


def test_logits_that_are_no_numbers_are_refused(scene, tmp_path):
    with pytest.raises(UserError, match="NaN or infinite logits for the 32 x 32 window at row 0, column 0"):
        predict(lambda x: above_zero(x) * math.nan, scene, tmp_path / "o.tif")


# --- memory, and the real thing ---------------------------------------------------------------------------------------


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
    predict(lambda x: x, source, target, bands=bands, class_names=bands, tile_px=512, overlap_px=64, progress=watch)
    return peak


def test_memory_does_not_grow_with_the_raster(tmp_path, monkeypatch):
    source = big_raster(tmp_path / "big.tif", 6000)
    decoded_mb = 6000**2 * 4 * 4 / 2**20
    assert growth_mb(source, tmp_path / "o.tif", monkeypatch, cache_mb=16) < 0.75 * decoded_mb
    np.testing.assert_array_equal(read(tmp_path / "o.tif")[0, ::512, ::512], 0)


@pytest.mark.slow
def test_memory_stays_far_below_a_large_raster(tmp_path, monkeypatch):
    source = big_raster(tmp_path / "big.tif", 10_000)
    decoded_mb = 10_000**2 * 4 * 4 / 2**20
    assert growth_mb(source, tmp_path / "o.tif", monkeypatch, cache_mb=64) < 0.15 * decoded_mb


def test_real_scene_is_predicted_on_its_own_grid(tmp_path):
    source = SHARED / "data" / "sen1floods11-sample" / "Spain_7370579_S2Hand.tif"
    if not source.exists():
        pytest.skip(f"needs the sample chip {source}")

    def water_index(pixels: torch.Tensor) -> torch.Tensor:
        return torch.cat([pixels[:, 1:] - pixels[:, :1], pixels[:, :1] - pixels[:, 1:]], dim=1)

    names = ["not_water", "water"]
    bands = ["GREEN", "SWIR_1"]
    predict(water_index, source, tmp_path / "o.tif", bands=bands, class_names=names, tile_px=200, overlap_px=50)
    with rasterio.open(source) as before, rasterio.open(tmp_path / "o.tif") as after:
        assert (after.crs, after.transform, after.shape) == (before.crs, before.transform, before.shape)
        green, swir = before.read([3, 12]).astype(int)
        np.testing.assert_array_equal(after.read(1), green > swir)
