"""predict from the command line to the map or table on disk, for each kind of task."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import Affine

from geocompose.actions import predict as action
from geocompose.errors import UserError
from geocompose.imagery.bands import HLS_BANDS
from geocompose.imagery.samples import Target
from tests.kit.command import run
from tests.kit.made_runs import TARGETS, make_run, trained

OF_IMAGES = ("classification", "multilabel", "scalar_regression")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder with one run of each kind."""
    folder = tmp_path_factory.mktemp("plain")
    for kind, target in TARGETS.items():
        make_run(folder / kind, target)
    return folder


@pytest.fixture
def made(plain, tmp_path, monkeypatch):
    """Return a function that gives a run in the working directory: a plain one, or one made with these arguments."""
    monkeypatch.chdir(tmp_path)

    def make(kind, *overrides, name=None, target=None, **more):
        folder = Path("outputs/made") / (name or kind)
        if overrides or target or more:
            return make_run(folder, target or TARGETS[kind], *overrides, **more)
        return shutil.copytree(plain / kind, folder)

    return make


def write_scene(path, height, width, seed=3):
    pixels = np.random.default_rng(seed).integers(200, 4000, (len(HLS_BANDS), height, width)).astype("int16")
    profile = {"count": len(HLS_BANDS), "height": height, "width": width, "dtype": "int16", "nodata": -9999}
    transform = Affine(30.0, 0.0, 4e5, 0.0, -30.0, 5e6)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32633", transform=transform, **profile) as file:
        file.write(pixels)
        file.descriptions = HLS_BANDS
    return pixels


def predict(folder, *more, given="scene.tif", out="map.tif"):
    run("action=predict", f"action.run={folder}", f"action.input='{given}'", f"action.output={out}", *more)


def outputs_of(folder, *images):
    """Return what the run's model says of raw images, as it stands in the folder."""
    model_of_run = trained(folder)
    batch = torch.from_numpy(np.stack(images).astype("float32"))
    with torch.inference_mode():
        return model_of_run.model((batch - 1500) / 800).output


def read_table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# --- maps -------------------------------------------------------------------------------------------------------------


def test_a_map_of_classes_is_what_the_model_says_on_the_rasters_grid(made):
    folder, pixels = made("segmentation"), write_scene("scene.tif", 32, 32)
    predict(folder)
    expected = outputs_of(folder, pixels).argmax(dim=1)[0].numpy()
    with rasterio.open("map.tif") as written, rasterio.open("scene.tif") as scene:
        assert (written.crs, written.transform, written.shape) == (scene.crs, scene.transform, scene.shape)
        assert written.dtypes == ("uint8",)
        np.testing.assert_array_equal(written.read(1), expected)


def test_a_map_of_probabilities_covers_a_raster_larger_than_a_tile(made):
    folder = made("segmentation")
    write_scene("scene.tif", 75, 130)
    predict(folder, "action.kind=probabilities", out="maps/map.tif")
    with rasterio.open("maps/map.tif") as written:
        shares = written.read()
        assert written.descriptions == ("water", "vegetation", "bare", "built")
    assert shares.shape == (4, 75, 130)
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)


def test_a_map_of_numbers_is_in_the_physical_unit(made, capsys):
    folder, pixels = made("regression"), write_scene("scene.tif", 32, 32)
    predict(folder)
    expected = outputs_of(folder, pixels)[0].numpy() * 40 + 150
    with rasterio.open("map.tif") as written:
        assert written.descriptions == ("biomass",)
        np.testing.assert_allclose(written.read(1), expected, rtol=1e-5)
    shown = f"biomass: {expected.min():.4g} to {expected.max():.4g}, mean {expected.mean():.4g}"
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(("height", "width"), [(1, 75), (20, 90), (90, 20), (5, 7)])
def test_a_map_of_several_variables_is_written_for_a_raster_of_any_size(made, height, width):
    target = Target("regression", ("biomass", "height"), mean=(150.0, 9.0), std=(40.0, 3.0))
    folder = made("regression", target=target)
    write_scene("scene.tif", height, width)
    predict(folder, "action.overlap_px=7", "action.kind=values")
    with rasterio.open("map.tif") as written:
        assert written.descriptions == ("biomass", "height")
        assert written.shape == (height, width)
        assert np.isfinite(written.read()).all()


@pytest.mark.parametrize("backbone", ["test_vit", "test_resnet"])
def test_a_backbone_of_one_image_size_predicts_rasters_of_others(made, backbone):
    folder = made("segmentation", f"backbone.name={backbone}")
    write_scene("scene.tif", 20, 50)
    predict(folder)
    with rasterio.open("map.tif") as written:
        assert (written.read(1) < 4).all()


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OF_IMAGES)
def test_a_table_has_the_model_s_answer_for_each_image(made, kind):
    folder = made(kind)
    images = [write_scene(f"images/{name}.tif", 32, 32, seed) for seed, name in enumerate("abc")]
    predict(folder, given="images", out="tables/t.csv")
    rows = read_table("tables/t.csv")
    assert [row["file"] for row in rows] == ["a.tif", "b.tif", "c.tif"]
    output = outputs_of(folder, *images)
    names = TARGETS[kind].names
    if kind == "classification":
        assert [row["class"] for row in rows] == [names[index] for index in output.argmax(dim=1)]
    elif kind == "multilabel":
        decided = (output >= 0).int().tolist()
        assert [[int(row[name]) for name in names] for row in rows] == decided
    else:
        expected = (output * 0.1 + 0.4).tolist()
        np.testing.assert_allclose([float(row["share"]) for row in rows], expected, rtol=1e-4)


def test_a_table_takes_a_pattern_and_one_raster_too(made):
    folder = made("classification")
    for name in ("a/x.tif", "b/x.tif"):
        write_scene(f"images/{name}", 32, 32)
    predict(folder, "action.kind=probabilities", given="images/*/x.tif", out="t.csv")
    rows = read_table("t.csv")
    assert [row["file"] for row in rows] == ["a/x.tif", "b/x.tif"]
    assert sum(float(rows[0][f"probability_{name}"]) for name in TARGETS["classification"].names) == pytest.approx(1)
    predict(folder, "action.overwrite=true", given="images/a/x.tif", out="t.csv")
    assert [row["file"] for row in read_table("t.csv")] == ["x.tif"]


def test_larger_images_come_to_their_size_as_in_training_or_as_told(made):
    write_scene("large.tif", 50, 40)
    plain = made("classification")
    with pytest.raises(UserError, match=r"large\.tif has 50 x 40 pixels.*at most 32 x 32.*action\.fit=crop"):
        predict(plain, given="large.tif", out="t.csv")
    predict(plain, "action.fit=resize", given="large.tif", out="t.csv")
    cropping = made("classification", name="cropping", data={"fit": "crop"})
    predict(cropping, given="large.tif", out="crop.csv")
    with pytest.raises(UserError, match="at most 32 x 32"):
        predict(cropping, "action.fit=refuse", given="large.tif", out="refused.csv")


# --- what the data of the training says, and what the user does
# --------------------------------------------------------


def test_nodata_and_band_names_are_those_of_the_training_unless_given(made):
    folder = made("segmentation", data={"nodata": 7.0, "band_names": [*HLS_BANDS]})
    pixels = write_scene("scene.tif", 32, 32)
    pixels[:, 0, 0] = 7
    with rasterio.open("scene.tif", "r+") as file:
        file.write(pixels)
        file.descriptions = [None] * len(HLS_BANDS)
    predict(folder)
    with rasterio.open("map.tif") as written:
        assert (written.read(1) == 255).sum() == 1
    predict(folder, "action.nodata=-1", "action.overwrite=true")
    with rasterio.open("map.tif") as written:
        assert (written.read(1) == 255).sum() == 0
    with pytest.raises(UserError, match=r"has no band .*'BLUE'.* It has: A, B, C, D, E, F"):
        predict(folder, "action.band_names=[A,B,C,D,E,F]", "action.overwrite=true")


def test_predict_does_not_replace_a_file_unasked(made):
    folder = made("segmentation")
    write_scene("scene.tif", 32, 32)
    predict(folder)
    with pytest.raises(UserError, match=r"exists already; action\.overwrite=true"):
        predict(folder)
    predict(folder, "action.overwrite=true")


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        (
            "segmentation",
            ["action.kind=values"],
            r"action\.kind=values does not fit .* segmentation.*classes, probabil",
        ),
        ("regression", ["action.kind=classes"], r"action\.kind=classes does not fit .* regression\. Allowed: values"),
        ("scalar_regression", ["action.kind=probabilities"], r"does not fit .* scalar_regression\. Allowed: values"),
        ("segmentation", ["action.fit=crop"], r"action\.fit=crop would change nothing.*rasters of any size"),
        ("multilabel", ["action.overlap_px=8"], r"action\.overlap_px=8 would change nothing.*each image"),
        ("segmentation", ["action.input=scen.tif"], r"no raster scen\.tif\. Did you mean scene\.tif"),
        ("regression", ["action.input=outputs"], r"outputs is a folder\. Name one raster file"),
        ("classification", ["action.input=scen.tif"], r"no raster or folder scen\.tif\. Did you mean scene\.tif"),
        ("segmentation", ["action.output=outputs"], r"action\.output=outputs is a folder\. Name .*prediction\.tif"),
        ("classification", ["action.output=outputs"], r"action\.output=outputs is a folder\. Name .*prediction\.csv"),
        ("segmentation", ["action.output=map.csv"], r"written as GeoTIFF: map\.csv should end with \.tif"),
        ("classification", ["action.output=map.tif"], r"written as a table: map\.tif should end with \.csv"),
        ("segmentation", ["action.output=scene.tif"], r"scene\.tif is the raster to be predicted"),
        ("classification", ["action.input=notes.txt"], r"notes\.txt can't be read as a raster"),
        ("segmentation", ["action.input=notes.txt"], r"notes\.txt can't be read as a raster"),
        ("segmentation", ["data.tile_px=8"], r"data\.tile_px=8 would change nothing"),
        ("classification", ["action.batch_size=0"], r"action\.batch_size=0: write how many images"),
        ("segmentation", ["action.batch_size=0"], r"action\.batch_size=0: write how many windows"),
    ],
)
def test_what_predict_cannot_do_is_refused_and_nothing_is_written(made, kind, more, message):
    folder = made(kind)
    write_scene("scene.tif", 32, 32)
    Path("notes.txt").write_text("no raster")
    out = "t.csv" if kind in OF_IMAGES else "map.tif"
    changed = {text.partition("=")[0] for text in more}
    arguments = {"action.input": "scene.tif", "action.output": out}
    given = [f"{key}={value}" for key, value in arguments.items() if key not in changed]
    with pytest.raises(UserError, match=message):
        run("action=predict", f"action.run={folder}", *given, *more)
    assert {path.name for path in Path().iterdir()} == {"outputs", "scene.tif", "notes.txt"}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("segmentation", ["action.output=new/z.csv"]),
        ("segmentation", ["action.output=scene.tif", "action.overwrite=true"]),
        ("segmentation", ["action.input=notes.txt"]),
        ("classification", ["action.output=z.tif"]),
        ("classification", ["action.input=notes.txt"]),
    ],
)
def test_files_that_cannot_be_are_refused_before_the_model_is_built(made, kind, more, monkeypatch):
    folder = made(kind)
    monkeypatch.setattr("geocompose.inference.trained.load_trained", lambda run: pytest.fail("the model was built"))
    write_scene("scene.tif", 32, 32)
    Path("notes.txt").write_text("no raster")
    given = {"action.input": "scene.tif", "action.output": "t.csv" if kind in OF_IMAGES else "map.tif"}
    given |= dict(text.split("=") for text in more)
    with pytest.raises(UserError, match=r"written as|to be predicted|can't be read as a raster"):
        run("action=predict", f"action.run={folder}", *(f"{key}={value}" for key, value in given.items()))


def test_an_unknown_kind_is_refused_with_those_there_are(made):
    with pytest.raises(UserError, match=r"action\.kind has no value 'clases'\. Did you mean 'classes'"):
        predict(made("segmentation"), "action.kind=clases")


def test_what_a_large_raster_will_cost_is_said_first(made, monkeypatch, capsys):
    monkeypatch.setattr(action, "LARGE_PX", 40 * 50)
    write_scene("scene.tif", 40, 50)
    predict(made("segmentation"), "action.kind=probabilities", "action.overlap_px=8")
    said = "40 x 50 pixels are 4 windows of 32 x 32; the map is at most 3.2e-05 GB before compression."
    assert said in capsys.readouterr().out
