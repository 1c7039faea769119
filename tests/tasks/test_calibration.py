"""The expected calibration error against its definition, and whatever the batches."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from geocompose.scores import calibration_error
from geocompose.tasks.split_counts import SplitCounts
from tests.kit.calibrated import error_of_logits
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.tiny_tasks import TARGETS


def drawn(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(5)
    places = (7, 8) if kind == "segmentation" else ()
    output = 2 * torch.randn(5, 3, *places, generator=draw)
    if kind == "multilabel":
        labels = torch.randint(-1, 2, (5, 3), generator=draw)
    else:
        labels = torch.randint(-1, 3, (5, *places), generator=draw)
    labels[3] = -1  # a tile without a label
    return output, labels


@pytest.mark.parametrize("kind", ["segmentation", "classification", "multilabel"])
@pytest.mark.parametrize("batches", [[5], [2, 2, 1], [1, 1, 1, 1, 1]])
def test_the_error_is_the_definitions_whatever_the_batches(kind, batches):
    output, labels = drawn(kind)
    counts = SplitCounts(TARGETS[kind], 5)
    start = 0
    for size in batches:
        part = slice(start, start + size)
        counts.update(output[part], labels[part], torch.arange(5)[part])
        start += size
    assert counts.scores()["ECE"] == pytest.approx(error_of_logits(kind, output.numpy(), labels.numpy()), abs=1e-6)
    per_tile = counts.calibration_per_tile()
    assert per_tile is not None
    assert per_tile[3].sum() == 0
    assert per_tile[..., 0].sum() == (labels != -1).sum()
    counts.update(output[:1], labels[:1], torch.tensor([0]))  # seen twice, counted once
    assert np.array_equal(counts.calibration_per_tile(), per_tile)
    counts.reset()
    assert math.isnan(counts.scores()["ECE"])


def test_an_honest_and_a_boastful_model():
    honest = np.zeros((15, 3))
    honest[11] = 100, 75.0, 75
    assert calibration_error(honest) == 0
    honest[11] = 100, 75.0, 50
    assert calibration_error(honest) == pytest.approx(0.25)


def test_certainty_lies_in_the_last_bin_in_any_precision():
    output = torch.tensor([[100.0, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.bfloat16)
    counts = SplitCounts(TARGETS["classification"], 2).to(torch.bfloat16)
    counts.update(output, torch.tensor([0, 1]), torch.arange(2))
    per_tile = counts.calibration_per_tile()
    assert per_tile is not None
    assert per_tile.dtype == np.float64
    assert per_tile[0, 14].tolist() == [1, 1, 1]
    # A third as float32 has it lies a little above 5 / 15, and so does its bin.
    assert per_tile[1, 5].tolist() == pytest.approx([1, 1 / 3, 0])


@pytest.mark.parametrize("kind", ["segmentation", "classification", "multilabel", "regression"])
def test_a_run_and_its_evaluation_have_it_where_labels_are_classes(kind, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, f"task={kind}", "study=a", "trainer.max_epochs=1")
    folder = only_run("a")
    metrics = record_of(folder)["metrics"]
    assert ("test/ECE" in metrics) == ("val/ECE" in metrics) == (kind != "regression")
    assert (folder / "calibration.npz").is_file() == (kind != "regression")
    if kind == "regression":
        return
    stored = np.load(folder / "calibration.npz")["test"]
    assert metrics["test/ECE"] == calibration_error(stored.sum(axis=0))
    run("action=evaluate", f"action.run={folder}")
    (written,) = (folder / "evaluations").glob("*.json")
    assert json.loads(written.read_text())["metrics"]["ECE"] == pytest.approx(metrics["test/ECE"], abs=1e-6)
