"""What earlier versions recorded stays as it is: identities of command lines, and runs that load and answer."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hydra import compose, initialize_config_dir

from geocompose.catalog.learning_rates import RATES
from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.configuration.weights import weight_files
from geocompose.runs import load_rules, run_id
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.places import CONF, ROOT
from tests.recorded.rasters import imagery, six_bands

RECORDED = ROOT / "tests" / "recorded"
# Command lines by the identity of their run. ROOT stands for a folder; the hashes of what data and weights hold are
# fixed.
IDENTITIES = dict(
    line.partition(" ")[::2] for line in (RECORDED / "identities.txt").read_text(encoding="utf-8").splitlines()
)
# The identities that the same command lines had first, when a rate stood in `peft.lr`.
FIRST = dict(
    line.partition(" ")[::-2] for line in (RECORDED / "first_identities.txt").read_text(encoding="utf-8").splitlines()
)
FIRST_RATES = {"FullFineTuning": 5.0e-4, "Frozen": 9.3e-4, "Lora": 9.1e-4}
RUNS = sorted(folder.parent for folder in RECORDED.glob("*/record.json"))
SEGMENTATION, REGRESSION, CLASSIFICATION = "prithvi-fcn-lora", "unet-unet-none", "fusion-identity-none"


def recorded(name: str, folder: Path) -> Path:
    """Return a copy of a recorded run, which actions may write into."""
    (source,) = (each for each in RUNS if each.name.startswith(name))
    return Path(shutil.copytree(source, folder / source.name))


def test_there_are_thirty_command_lines_and_three_runs():
    assert len(IDENTITIES) >= 30
    assert set(FIRST) == set(IDENTITIES.values())
    assert len(RUNS) == 3


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: IDENTITIES[identity][:60] or "no override")
def test_a_command_line_keeps_its_runs_identity_and_the_first_one(identity, tmp_path):
    config, inputs = composed(IDENTITIES[identity], tmp_path)
    assert run_id(config, inputs, load_rules(CONF)) == identity
    rate = FIRST_RATES[config["peft"]["_target_"].rpartition(".")[2]]
    config["peft"]["lr"] = rate
    if config["optimizer"]["lr"] in {row.rate for row in RATES}:
        config["optimizer"]["lr"] = rate
    assert run_id(config, inputs, replace(load_rules(CONF), numerics=1)) == FIRST[IDENTITIES[identity]]


@pytest.mark.parametrize("task", ["segmentation", "regression", "classification", "multilabel", "scalar_regression"])
def test_landscapes_that_pixels_do_not_tell_are_other_data(task, tmp_path):
    config, inputs = composed(f"task={task}", tmp_path)
    before = run_id(config, inputs, load_rules(CONF))
    assert config["data"].pop("landscape") == "spectral"
    assert run_id(config, inputs, load_rules(CONF)) == before
    config["data"]["landscape"] = "context"
    assert run_id(config, inputs, load_rules(CONF)) != before


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_a_fused_optimizer_and_another_precision_of_products_are_other_runs(optimizer, tmp_path):
    config, inputs = composed(f"optimizer={optimizer}", tmp_path)
    identities = {run_id(config, inputs, load_rules(CONF))}
    config["optimizer"]["fused"] = True
    identities.add(run_id(config, inputs, load_rules(CONF)))
    for precision in ("highest", "medium"):
        config["trainer"]["matmul_precision"] = precision
        identities.add(run_id(config, inputs, load_rules(CONF)))
    assert len(identities) == 4


def composed(line: str, root: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a command line composes, and the hashes of its inputs."""
    overrides = [text.replace("ROOT", str(root)) for text in line.split()]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", overrides=overrides), groups(CONF))
    if "landscape" in config["data"]:
        config["data"]["landscape"] = "spectral"  # all there was then, and no key; today's default is another one
    if "fused" in config["optimizer"]:
        config["optimizer"]["fused"] = None  # as well
    if "joining" in config["decoder"]:
        config["decoder"]["joining"] = "enlarged"
    inputs = {}
    if config["data"].get("root") is not None:
        inputs["data"] = "d" * 64
    if weight_files(config["backbone"]):
        inputs["weights"] = "a" * 64
    return config, inputs


@pytest.mark.parametrize("name", [SEGMENTATION, REGRESSION, CLASSIFICATION])
def test_a_recorded_run_is_evaluated_to_what_it_recorded(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imagery(tmp_path / "imagery")
    folder = recorded(name, tmp_path)
    run("action=evaluate", f"action.run={folder}")
    (written,) = (folder / "evaluations").glob("*.json")
    metrics = json.loads(written.read_text())["metrics"]
    expected = json.loads((folder / "record.json").read_text())["metrics"]
    recorded_then = {key.removeprefix("test/"): value for key, value in expected.items() if key.startswith("test/")}
    assert len(recorded_then) > 3
    for key, before in recorded_then.items():
        if key != "loss":  # of which evaluate knows nothing
            assert metrics[key] == (None if before is None else pytest.approx(before, rel=1e-4)), key


def test_a_run_recorded_before_heads_had_a_kernel_loads_with_the_one_that_it_had(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL[:2], *SMALL[5:], "decoder=smp_unet", "head.kernel_size=1", "study=before")
    folder = only_run("before")
    config = (folder / "config.yaml").read_text()
    assert config.count("kernel_size: 1\n") == 1
    (folder / "config.yaml").write_text("".join(line for line in config.splitlines(True) if "kernel_size" not in line))
    run("action=evaluate", f"action.run={folder}")
    (written,) = (folder / "evaluations").glob("*.json")
    evaluated = json.loads(written.read_text())["metrics"]["mIoU"]
    assert evaluated == pytest.approx(record_of(folder)["metrics"]["test/mIoU"], rel=1e-6)


def test_a_recorded_run_predicts_the_map_that_it_did(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, image = recorded(SEGMENTATION, tmp_path), six_bands(tmp_path / "six.tif")
    run("action=predict", f"action.run={folder}", f"action.input={image}", "action.output=map.tif")
    with rasterio.open("map.tif") as file:
        classes = file.read()
    expected = np.load(RECORDED / "predictions.npz")["segmentation"]
    assert (classes == expected).mean() > 0.999  # a tie may fall otherwise on another processor


def test_a_recorded_run_predicts_the_numbers_that_it_did(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = recorded(REGRESSION, tmp_path)
    image = imagery(tmp_path / "imagery") / "scene_0_image.tif"
    run("action=predict", f"action.run={folder}", f"action.input={image}", "action.output=map.tif")
    with rasterio.open("map.tif") as file:
        np.testing.assert_allclose(file.read(), np.load(RECORDED / "predictions.npz")["regression"], rtol=1e-4)


def test_a_recorded_run_predicts_the_probabilities_that_it_did(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, image = recorded(CLASSIFICATION, tmp_path), six_bands(tmp_path / "six.tif")
    run(
        "action=predict", f"action.run={folder}", f"action.input={image}", "action.fit=crop",
        "action.kind=probabilities", "action.output=table.csv",
    )  # fmt: skip
    with open("table.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    probabilities = [float(row[key]) for key in row if key.startswith("probability_")]
    np.testing.assert_allclose(probabilities, np.load(RECORDED / "predictions.npz")["classification"], rtol=1e-4)
