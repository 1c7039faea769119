"""The score of a whole scene is that of the map which predict makes of it, over the pixels of the split."""

import json

import numpy as np
import pytest
import rasterio

from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.inference import scene_scoring
from geocompose.scores import confusion_matrix, regression_sums, scores_of
from geocompose.training import scored
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.data_rasters import BANDS, image, label, write

BASE = [
    *SMALL[:5], "data.images='*_img.tif'", "data.labels='*_lab.tif'", "data.tile_px=32",
    "data.baselines=[]", "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.progress_bar=false",
]  # fmt: skip
CLASSES = ["data=geotiff", "data.class_names=[land,water]"]
NUMBERS = ["task=regression", "data=geotiff_regression", "data.variables=[a,b]"]


def numbers(pixels: np.ndarray) -> np.ndarray:
    heights = np.stack([pixels[0] * 0.1, pixels[1] * 3.0]).astype("float32")
    heights[0, 3:9, -20:-4] = np.nan
    return heights


def one_raster(folder, kind):
    """Write a raster of 50 x 140 pixels, a corner of which is nodata, and return its label."""
    pixels = image(0, 50, 140)
    truth = label(0, 50, 140) if kind == "classes" else numbers(pixels)
    if kind == "classes":
        truth[10:20, -30:] = -1
    pixels[:, :8, -12:] = -9999
    write(folder / "data" / "a_img.tif", pixels, BANDS, nodata=-9999)
    write(folder / "data" / "a_lab.tif", truth)
    return truth, (pixels != -9999).all(axis=0)


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_the_score_is_that_of_the_map_on_the_test_columns(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    truth, valid = one_raster(tmp_path, kind)
    run(*BASE, *(CLASSES if kind == "classes" else NUMBERS), "study=a", f"data.root={tmp_path}/data")
    folder = only_run("a")
    record = record_of(folder)
    run("action=predict", f"action.run={folder}", f"action.input={tmp_path}/data/a_img.tif", "action.output=map.tif")
    with rasterio.open("map.tif") as file:
        said = file.read()
    test = slice(112, 140)  # a fifth of the columns
    target = Target.from_record(record["data"]["target"])
    if kind == "classes":
        known = valid[:, test] & (truth[:, test] >= 0)
        counts = confusion_matrix(truth[:, test][known], said[0][:, test][known], 2)
    else:
        own = np.where(valid, truth, np.nan)[..., test]
        counts = regression_sums(own.reshape(2, -1).T, said[..., test].reshape(2, -1).T)
    expected = {f"test/scene_{name}": value for name, value in scores_of(counts, target).items()}
    found = {name: value for name, value in record["metrics"].items() if "scene_" in name}
    assert found == pytest.approx(expected, rel=1e-6)
    assert record["metrics"]["test/mIoU" if kind == "classes" else "test/RMSE"] > 0
    assert record["training"]["scene_scores"] == {"tile_px": 32, "overlap_px": 8, "windows": 4}
    run("action=evaluate", f"action.run={folder}")
    (written,) = (folder / "evaluations").glob("*.json")
    again = json.loads(written.read_text())["metrics"]
    assert {f"test/{name}": value for name, value in again.items() if name.startswith("scene_")} == pytest.approx(
        expected, rel=1e-6
    )
    run("action=evaluate", f"action.run={folder}", "action.scene_scores=false")
    assert not any(name.startswith("scene_") for name in json.loads(written.read_text())["metrics"])


def test_labels_of_other_splits_count_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    truth, _ = one_raster(tmp_path, "classes")
    run(*BASE, *CLASSES, "study=a", f"data.root={tmp_path}/data")
    folder = only_run("a")
    before = record_of(folder)["metrics"]
    truth[:, :112] = 1 - truth[:, :112].clip(0)
    write(tmp_path / "data" / "a_lab.tif", truth)
    run("action=evaluate", f"action.run={folder}")
    (written,) = (folder / "evaluations").glob("*.json")
    after = json.loads(written.read_text())["metrics"]
    assert after["scene_mIoU"] == pytest.approx(before["test/scene_mIoU"])
    assert after["mIoU"] == pytest.approx(before["test/mIoU"])


def test_scenes_of_several_sizes_and_smaller_than_a_tile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, (height, width) in enumerate([(32, 32), (40, 40), (20, 50), (64, 32), (30, 30), (90, 33), (20, 20)]):
        write(tmp_path / "data" / f"{number}_img.tif", image(number, height, width), BANDS)
        write(tmp_path / "data" / f"{number}_lab.tif", label(number, height, width))
    run(
        *BASE,
        *CLASSES,
        "study=a",
        f"data.root={tmp_path}/data",
        "data.split=[0.3,0.2,0.5]",
        "data.batch_size=3",
        figures=True,
    )
    record = record_of(only_run("a"))
    assert 0 <= record["metrics"]["test/scene_accuracy_micro"] <= 1
    assert "left_out" not in record["training"]


def test_images_have_no_scene_scores_and_false_leaves_them_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [*SMALL, "trainer.max_epochs=1"]
    run(*small, "study=off", "action.scene_scores=false")
    run(*small, "study=images", "task=classification")
    for study in ("off", "images"):
        assert not any("scene" in name for name in record_of(only_run(study))["metrics"])


def test_a_finished_run_is_not_scored_again_for_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [*SMALL, "trainer.max_epochs=1", "study=a"]
    run(*small, "action.scene_scores=false")
    before = record_of(only_run("a"))
    run(*small)
    assert record_of(only_run("a")) == before


def test_what_cannot_be_scored_costs_the_run_nothing_but_a_line(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)

    def refuse(*arguments, **named):
        raise UserError("The model takes tiles of one size.")

    monkeypatch.setattr(scored, "score_scenes", refuse)
    run(*SMALL, "trainer.max_epochs=1", "study=a", figures=True)
    record = record_of(only_run("a"))
    assert record["status"] == "completed"
    assert record["training"]["left_out"] == ["The scores of whole scenes: The model takes tiles of one size."]
    assert record["metrics"]["test/mIoU"] >= 0


def test_a_long_scoring_says_how_far_it_is(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scene_scoring, "TELLS_S", -1.0)
    one_raster(tmp_path, "classes")
    run(*BASE, *CLASSES, "study=a", f"data.root={tmp_path}/data", "data.batch_size=2")
    windows = record_of(only_run("a"))["training"]["scene_scores"]["windows"]
    lines = [text for text in caplog.messages if text.startswith("Scores of the whole scenes: ")]
    assert len(lines) == -(-windows // 2) - 1  # not when it is done
    assert lines[0].startswith(f"Scores of the whole scenes: 2 of {windows} windows after ")
