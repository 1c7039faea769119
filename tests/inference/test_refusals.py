"""What a user may get wrong about rasters to predict: one clear message, and nothing written."""

import math
import os
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from geocompose.data.rasters.file import opened
from geocompose.errors import UserError
from geocompose.inference import raster
from geocompose.inference.cells import CellShape
from geocompose.inference.geotiff import PredictionWriter
from geocompose.inference.reading import ModelInput
from tests.kit.inference_rasters import above_zero, noise, predict, write


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return noise(tmp_path / "scene.tif")


def test_missing_source_is_named_with_the_nearest_file(scene, tmp_path):
    with pytest.raises(UserError, match=r"no raster .*scne.tif. Did you mean .*scene.tif"):
        predict(above_zero, tmp_path / "scne.tif", tmp_path / "o.tif")
    with pytest.raises(UserError, match=r"no raster .*Its folder /nowhere doesn't exist either"):
        predict(above_zero, Path("/nowhere/zzz.tif"), tmp_path / "o.tif")


def test_source_that_is_no_raster_is_refused(tmp_path):
    (tmp_path / "text.tif").write_text("not a raster")
    with pytest.raises(UserError, match="can't be read as a raster"):
        opened(tmp_path / "text.tif")
    with pytest.raises(UserError, match="Name one raster file"):
        opened(tmp_path)


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
    with pytest.raises(UserError, match=r"has 2 bands without names. The model needs RED. .*band_names=\[BLUE"):
        predict(above_zero, source, tmp_path / "o.tif")
    with pytest.raises(
        UserError, match=r"2 bands, but action.band_names has 3 names \(B2, B3, B4\).*The model needs RED"
    ):
        predict(above_zero, source, tmp_path / "o.tif", band_names=["B2", "B3", "B4"])


def test_band_that_is_there_twice_is_refused(tmp_path):
    source = write(tmp_path / "s.tif", np.ones((3, 4, 4), dtype="uint8"), ["B4", "GREEN", "RED"])
    with pytest.raises(UserError, match=r"band 'RED' more than once \(bands 1, 3 of"):
        predict(above_zero, source, tmp_path / "o.tif")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 0}, "batch_size=0: write how many windows"),
        ({"overlap_px": 32}, "overlap_px=32"),
        ({"names": ["one"]}, "2 to 65535 classes, got 1"),
        ({"names": ["one", "one"]}, "Two classes have one name"),
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
    with pytest.raises(UserError, match="NaN or infinity for the 32 x 32 window at row 0, column 0"):
        predict(lambda x: above_zero(x) * math.nan, scene, tmp_path / "o.tif")


@pytest.mark.parametrize("stage", ["reading", "model", "writing"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_of_any_stage_is_raised_and_leaves_nothing(scene, tmp_path, monkeypatch, stage, error):
    calls, threads = Counter(), threading.active_count()

    def fails_late(name, original):
        def call(*given, **more):
            calls[name] += 1
            if name == stage and calls[name] == 3:
                raise error("on purpose")
            return original(*given, **more)

        return call

    monkeypatch.setattr(ModelInput, "read", fails_late("reading", ModelInput.read))
    monkeypatch.setattr(PredictionWriter, "write", fails_late("writing", PredictionWriter.write))
    monkeypatch.setattr(raster, "cell_shape", lambda *size: CellShape(16, 16))
    with pytest.raises(error, match="on purpose"):
        predict(fails_late("model", above_zero), scene, tmp_path / "o.tif", batch_size=1)
    assert os.listdir(tmp_path) == ["scene.tif"]
    assert threading.active_count() == threads
