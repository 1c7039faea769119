"""What evaluate counts on each tile: as the run's own files, so that other data gives intervals as well."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.scores import calibration_error, scores_of
from tests.kit.command import SMALL, only_run, record_of, run
from tests.kit.made_runs import TARGETS

QUICK = (*SMALL, "data.tile_px=16", "data.baselines=[]", "trainer.max_epochs=1", "logger=csv")


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", TARGETS)
def test_evaluate_writes_the_counts_that_its_scores_are_made_of(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*QUICK, f"task={kind}")
    folder = only_run("default")
    run("action=evaluate", f"action.run={folder}", "action.scene_scores=false")
    (written,) = (folder / "evaluations").glob("*.json")
    beside = written.with_suffix("")
    target = Target.from_record(record_of(folder)["data"]["target"])
    name = "confusion.npz" if target.of_classes else "tile_sums.npz"
    with np.load(beside / name) as here, np.load(folder / name) as there:
        assert here.files == ["test"]
        counts = here["test"]
        np.testing.assert_allclose(counts, there["test"])
    found = scores_of(counts.sum(axis=0), target)
    if target.of_classes:
        with np.load(beside / "calibration.npz") as bins:
            found["ECE"] = calibration_error(bins["test"].sum(axis=0))
    metrics = json.loads(written.read_text())["metrics"]
    for key, value in found.items():
        assert metrics[key] is None if np.isnan(value) else metrics[key] == pytest.approx(value), key
    rows = rows_of(beside / "splits.csv")
    assert rows == [row for row in rows_of(folder / "splits.csv") if row["split"] == "test"]
    assert len(rows) == len(counts)


def test_counts_are_not_written_through_a_link(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*QUICK)
    folder = only_run("default")
    run("action=evaluate", f"action.run={folder}", "action.scene_scores=false")
    (written,) = (folder / "evaluations").glob("*.json")
    outside = tmp_path / "outside"
    written.with_suffix("").rename(outside)
    written.with_suffix("").symlink_to(outside)
    with pytest.raises(UserError, match="is a link"):
        run("action=evaluate", f"action.run={folder}", "action.scene_scores=false")
