"""Scenes that are far from what a model was trained on are said by evaluation and prediction; none is read twice."""

import json
import logging

import numpy as np
import pytest

from geocompose.data.drift import FAR, Seen, Trained, tell_far
from geocompose.data.rasters.image import RasterImage
from tests.kit.command import only_run, record_of, run
from tests.kit.data_rasters import image, label, write
from tests.kit.tagged_data import DATA, NAMES, QUICK


@pytest.fixture
def trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place, key in enumerate("abcd"):
        write(tmp_path / f"data/{key}_img.tif", image(place, 80, 80, 3, "uint16"), NAMES)
        write(tmp_path / f"data/{key}_lab.tif", label(place, 80, 80))
    run(
        *QUICK,
        *DATA,
        f"data.root={tmp_path / 'data'}",
        "trainer.max_epochs=1",
        "data.baselines=[]",
        "data.unit=reflectance_1e4",
    )
    return only_run("default").absolute()


def said(caplog, text="far from what the model was trained on"):
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def predict(folder, pixels, *arguments):
    source = write(folder.parent / "scene.tif", pixels, NAMES)
    run("action=predict", f"action.run={folder}", f"action.input={source}", f"action.output={source}.map.tif",
        "action.overwrite=true", *arguments)  # fmt: skip


SCENE = image(9, 90, 70, 3)


@pytest.mark.parametrize(
    ("pixels", "arguments", "expected"),
    [
        (SCENE, (), None),
        (SCENE * 0.5, (), None),
        (SCENE + 8000, (), "deviations from the training's 1"),
        (SCENE / 1e4, (), "about a 10000th of the training's: is action.unit what the file holds"),
        (SCENE, ("action.unit=reflectance",), "about 10000 times the training's: is action.unit"),
        (SCENE + 1000, (), "as if 1000 had been added that action.offset doesn't take off"),
        (SCENE, ("action.offset=1000",), "as if action.offset took off what was never added"),
        (SCENE + 1000, ("action.offset=1000",), None),
        (SCENE / 1e4, ("action.unit=reflectance",), None),
    ],
)
def test_a_scene_far_from_the_training_is_said_with_what_it_looks_like(trained, caplog, pixels, arguments, expected):
    caplog.clear()
    predict(trained, pixels.astype("float32"), *arguments)
    lines = said(caplog)
    assert len(lines) == (expected is not None)
    if expected is not None:
        assert "scene.tif" in lines[0]
        assert expected in lines[0]


def test_values_that_can_not_be_of_the_unit_are_said_of_an_input_too(trained, caplog):
    predict(trained, SCENE.astype("float32"), "action.unit=reflectance")
    (line,) = said(caplog, "look like reflectance_1e4")
    assert "scene.tif: 100 % of its valid pixels" in line


def test_no_pixel_is_read_twice_for_it(trained, monkeypatch):
    windows, original = [], RasterImage.read

    def read(self, window, bands):
        windows.append(window)
        return original(self, window, bands)

    monkeypatch.setattr(RasterImage, "read", read)
    predict(trained, SCENE.astype("float32"), "action.overlap_px=8")
    read_times = np.zeros(SCENE.shape[1:], int)
    for window in windows:
        read_times[window.slices] += 1
    assert (read_times == 1).all()


def test_other_data_far_from_the_training_is_said_when_it_is_evaluated(trained, caplog, tmp_path):
    run("action=evaluate", f"action.run={trained}")
    assert not said(caplog)
    for place, key in enumerate("abcd"):
        write(tmp_path / f"other/{key}_img.tif", image(place, 80, 80, 3) / np.float32(1e4), NAMES)
        write(tmp_path / f"other/{key}_lab.tif", label(place, 80, 80))
    run("action=evaluate", f"action.run={trained}", *DATA, f"data.root={tmp_path / 'other'}")
    (line,) = said(caplog)
    assert "about a 10000th of the training's: is data.unit" in line
    results = [path.read_text() for path in (trained / "evaluations").glob("*.json")]
    (found,) = [json.loads(text) for text in results if "far from" in text]
    assert line in found["said"]


def test_a_record_says_what_the_training_data_was_like(trained):
    data = record_of(trained)["data"]
    assert data["statistics"]["mean"] == data["normalization"]["mean"]
    assert data["statistics"]["least"] == [1.0, 1.0, 1.0]
    assert Trained.of_record({"normalization": {"source": "given", "mean": [1.0], "std": [1.0]}}) is None
    earlier = Trained.of_record({"normalization": {"source": "dataset", "mean": [1.0], "std": [2.0]}})
    assert (earlier.std, earlier.least) == (2.0, None)


def test_many_images_are_one_line_and_the_farthest_is_named(caplog):
    known = Trained(np.array([100.0, 100.0]), np.array([10.0, 10.0]), np.array([50.0, 50.0]))
    means = [np.array([100.0, 100.0 + 10 * away]) for away in (1, 6, 9, 7)]
    far = [Seen(f"{place}.tif", mean, np.array([90.0, 90.0]), 100) for place, mean in enumerate(means)]
    with caplog.at_level(logging.WARNING, logger="geocompose"):
        tell_far(["RED", "BLUE"], [None, None], known, far, group="action")
    (line,) = said(caplog)
    assert line.startswith("2.tif and 2 further images: far from")
    assert "The mean of BLUE is 190, 9 deviations from the training's 100 +- 10." in line
    assert FAR == 5
