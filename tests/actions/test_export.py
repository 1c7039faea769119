"""export from the command line, and what evaluate, predict and geocompose.load make of a bundle."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

import geocompose
from geocompose.errors import UserError
from tests.actions.test_predict import write_scene
from tests.kit.bundles import LORA, bundle_of, learned_run
from tests.kit.command import SMALL, only_run, record_of, run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a finished run of LoRA in the study `short`, trained on the command line."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(*SMALL, "peft=lora", "study=short")
    return folder


@pytest.fixture
def workplace(finished, tmp_path, monkeypatch):
    shutil.copytree(finished / "outputs", tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    return only_run("short")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    learned_run(folder / "run", *LORA)
    bundle_of(folder / "run", folder / "sent")
    return folder


def test_a_run_is_exported_and_the_bundle_scores_as_the_run(workplace, tmp_path, capsys):
    run("action=export", f"action.run={workplace}")
    sent = workplace / "exports" / f"{workplace.name}-bundle"
    said = capsys.readouterr().out
    assert "adapter LORA, in PEFT's format" in said
    assert "left out, and needed to use it: the frozen base" in said
    received = shutil.move(sent, tmp_path / "received")
    run("action=evaluate", f"action.run={received}", "action.scene_scores=false")
    (written,) = (received / "evaluations").glob("*.json")
    scores, recorded = json.loads(written.read_text())["metrics"], record_of(workplace)["metrics"]
    assert "mIoU" in scores
    for name, value in scores.items():
        assert recorded[f"test/{name}"] == pytest.approx(value, abs=1e-6, nan_ok=True), name
    run("action=export", f"action.run={received}", "action.output=again")  # of a bundle
    files = ["model.safetensors", "adapter/adapter_model.safetensors", "adapter/adapter_config.json", "config.yaml"]
    for name in files:
        assert (Path("again") / name).read_bytes() == (received / name).read_bytes(), name


def test_a_bundle_predicts_the_same_raster_and_its_record_names_it(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_scene("scene.tif", 70, 50)
    for name in ("run", "sent"):
        run(
            "action=predict", f"action.run={made / name}", "action.input=scene.tif", f"action.output={name}.tif",
            "action.kind=probabilities",
        )  # fmt: skip
    with rasterio.open("run.tif") as first, rasterio.open("sent.tif") as second:
        assert np.array_equal(first.read(), second.read())
    told = json.loads(Path("sent.tif.json").read_text())
    assert told["weights"]["file"] == "manifest.json"
    assert told["run"] == {"folder": str(made / "sent"), "run_id": "0123456789"}


def test_a_bundle_is_loaded_in_python(made):
    first, second = geocompose.load(made / "run"), geocompose.load(made / "sent")
    images = torch.randn(1, 6, 32, 32)
    assert torch.equal(first.model(images).output, second.model(images).output)
    assert second.target.names == ("water", "vegetation", "bare", "built")


def test_a_bundle_is_not_computed_again(made):
    with pytest.raises(UserError, match="is a bundle, which has a run's model"):
        run("action=reproduce", f"action.run={made / 'sent'}")


def test_a_format_that_is_not_there_is_refused(made):
    with pytest.raises(UserError, match=r"action\.format"):
        run("action=export", f"action.run={made / 'run'}", "action.format=tflite")


def test_an_export_that_is_there_is_replaced_only_when_asked(made, tmp_path):
    arguments = ("action=export", f"action.run={made / 'run'}", f"action.output={tmp_path / 'sent'}")
    run(*arguments)
    with pytest.raises(UserError, match=r"exists already; action\.overwrite=true"):
        run(*arguments)
    run(*arguments, "action.overwrite=true")
    assert [path.name for path in tmp_path.iterdir()] == ["sent"]


def test_what_would_change_nothing_is_refused(made):
    with pytest.raises(UserError, match="would change nothing"):
        run("action=export", f"action.run={made / 'run'}", "data.tile_px=64")


def test_a_folder_that_is_neither_a_run_nor_a_bundle_is_refused(tmp_path):
    with pytest.raises(UserError, match="is not a run's folder"):
        run("action=export", f"action.run={tmp_path}")
