"""The record beside a map or a table: what it was made of, and what was said."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geocompose.errors import UserError
from tests.actions.test_predict import OF_IMAGES, made, plain, predict, write_scene  # noqa: F401 - fixtures
from tests.kit.made_runs import TARGETS


@pytest.mark.parametrize("kind", TARGETS)
def test_a_prediction_says_what_it_was_made_of(made, kind):  # noqa: F811
    folder = made(kind)
    write_scene("scene.tif", 32, 32)
    out = "t.csv" if kind in OF_IMAGES else "map.tif"
    predict(folder, out=out)
    record = json.loads(Path(f"{out}.json").read_text())
    weights = folder / "checkpoints" / "best.ckpt"
    assert record["output"] == {"file": out, "sha256": hashlib.sha256(Path(out).read_bytes()).hexdigest()}
    assert record["weights"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert Path(record["run"]["folder"]) == folder.resolve()
    assert record["run"]["run_id"] == json.loads((folder / "record.json").read_text())["run_id"]
    assert record["input"] == "scene.tif"
    own = {"fit": "refuse"} if kind in OF_IMAGES else {"overlap_px": 8}
    assert record["how"] == {"tile_px": 32, "batch_size": 16, "precision": "fp32", **own}


@pytest.mark.parametrize("batch_size", [2, "null"])
def test_the_batch_that_was_chosen_is_said_and_recorded_and_a_given_one_is_taken(made, capsys, batch_size):  # noqa: F811
    folder = made("segmentation")
    write_scene("scene.tif", 64, 64)
    predict(folder, f"action.batch_size={batch_size}")
    how = json.loads(Path("map.tif.json").read_text())["how"]
    assert how["batch_size"] == (16 if batch_size == "null" else batch_size)
    assert ("16 windows at a time, each of " in capsys.readouterr().out) is (batch_size == "null")


def test_a_map_in_bf16_is_recorded_as_one(made):  # noqa: F811
    folder = made("segmentation")
    write_scene("scene.tif", 64, 64)
    predict(folder, "action.kind=probabilities")
    predict(folder, "action.kind=probabilities", "action.precision=bf16", out="bf16.tif")
    assert json.loads(Path("bf16.tif.json").read_text())["how"]["precision"] == "bf16"
    with rasterio.open("map.tif") as exact, rasterio.open("bf16.tif") as rounded:
        difference = np.abs(exact.read() - rounded.read()).max()
    assert 0 < difference < 0.05  # another map, by what seven bits of a product leave


def test_what_was_said_at_a_prediction_is_recorded(made):  # noqa: F811
    folder = made("segmentation")
    write_scene("scene.tif", 32, 32)
    predict(folder, "action.nodata=1e9")
    said = json.loads(Path("map.tif.json").read_text())["said"]
    assert any("nodata" in line for line in said), said


def test_a_file_in_the_place_of_the_record_is_not_replaced_unasked(made):  # noqa: F811
    folder = made("segmentation")
    write_scene("scene.tif", 32, 32)
    place = Path("map.tif.json")
    place.write_text("somebody's")
    with pytest.raises(UserError, match=r"map\.tif\.json exists already"):
        predict(folder)
    assert place.read_text() == "somebody's"
    assert not Path("map.tif").exists()
    predict(folder, "action.overwrite=true")
    assert json.loads(place.read_text())["input"] == "scene.tif"
