"""Each task by its own command: it learns until it clearly beats a constant prediction, and leaves a whole record."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geocompose.scores import SCORES
from tests.kit.command import only_run, record_of, run

QUICK = (
    "backbone=timm",
    "backbone.name=test_resnet",
    "decoder=unet",
    "decoder.channels=[32, 32, 16, 16, 16]",
    "optimizer.lr=2e-3",
    "scheduler=one_cycle",
    "data.landscape=spectral",  # learned in seconds
    "data.num_scenes=8",
    "data.scene_px=96",
    "data.tile_px=16",
    "data.batch_size=16",
    "data.baselines=[constant]",
    "trainer.max_epochs=6",
    "trainer.accelerator=cpu",
    "trainer.progress_bar=false",
    "logger=csv",
)
# The metrics to beat, and by how much: added to a score, a share of an error. To say yes to every class has a high F1
# already where most images have most classes; so it is the share of right decisions that has to be far better.
CLEARLY = {
    "segmentation": {"mIoU": 0.3},
    "regression": {"RMSE": 0.75},
    "classification": {"F1_macro": 0.3},
    "multilabel": {"accuracy_micro": 0.1, "F1_macro": 0.02},
    "scalar_regression": {"RMSE": 0.5},
    "reconstruction": {"RMSE": 0.9},
}
MORE = {
    "multilabel": ["trainer.max_epochs=10"],
    "reconstruction": ["task.mask_px=4", "task.mask_ratio=0.5", "trainer.max_epochs=10"],
}
FIGURES = {
    "segmentation": {"curves.png", "confusion.png", "samples.png"},
    "regression": {"curves.png", "scatter.png", "samples.png"},
    "classification": {"curves.png", "confusion.png", "samples.png"},
    "multilabel": {"curves.png", "decisions.png", "samples.png"},
    "scalar_regression": {"curves.png", "scatter.png", "samples.png"},
    "reconstruction": {"curves.png", "samples.png"},
}


def names_of(record: dict[str, Any]) -> list[str]:
    return record["data"]["target"]["names"]


# One of maps and one of whole images. That the others learn is in test_tasks.py as well, without a command line.
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind in ("segmentation", "classification") else pytest.mark.slow)
        for kind in CLEARLY
    ],
)
def test_a_task_of_the_command_line_beats_a_constant(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*QUICK, f"task={kind}", *MORE.get(kind, []))
    record = record_of(only_run("default"))
    for metric, margin in CLEARLY[kind].items():
        score, constant = record["metrics"][f"test/{metric}"], record["baselines"][0]["metrics"][metric]
        assert score < margin * constant if metric == "RMSE" else score > constant + margin


@pytest.mark.parametrize("kind", CLEARLY)
def test_a_task_of_the_command_line_records_all(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = [each for each in MORE.get(kind, []) if not each.startswith("trainer.")]
    run(*QUICK, f"task={kind}", *more, "trainer.max_epochs=1", figures=True)
    folder = only_run("default")
    record = record_of(folder)
    assert record["status"] == "completed"
    assert {path.name for path in (folder / "figures").iterdir()} == FIGURES[kind]
    counted = np.load(folder / ("confusion.npz" if record["data"]["target"]["mean"] is None else "tile_sums.npz"))
    scores = SCORES[kind](counted["test"].sum(axis=0), names_of(record))
    assert record["metrics"] | {f"test/{name}": value for name, value in scores.items()} == record["metrics"]
    assert len(counted["val"]) == record["data"]["splits"]["val"]["tiles"]


def test_rates_by_part_are_written_and_auxiliary_losses_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(
        *QUICK[:4], *QUICK[6:], "trainer.max_epochs=2", "auxiliary=fcn", "task.aux_loss={fcn: 0.4}", "task=regression",
        "task.lr_by_part={backbone: 1.0e-5, auxiliary: 1.0e-2}", "task.loss={huber: {delta: 0.5}, mae: 0.2}",
    )  # fmt: skip
    with (only_run("default") / "metrics.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert [float(first[name]) for name in ("lr", "lr_backbone", "lr_auxiliary")] == [5e-4, 1e-5, 1e-2]
    assert float(first["train/loss_with_auxiliary"]) > float(first["train/loss"])


def test_a_regression_in_lower_precision_is_scored_in_full(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*QUICK, "task=scalar_regression", "trainer.max_epochs=1", "trainer.precision=bf16-true")
    counted = np.load(only_run("default") / "tile_sums.npz")["test"]
    assert counted.dtype == np.float64
    assert len(np.unique(counted[:, 0, 1])) > 20, "labels rounded to bfloat16 would coincide"
