"""predictions.npz: read with numpy alone, and from it the counts that the run's metrics were computed from."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from geocompose.imagery.samples import Target
from geocompose.scores import SUMS
from geocompose.training.predictions import Predictions
from tests.kit.command import SMALL, only_run, record_of, run

KINDS = ["segmentation", "regression", "classification", "multilabel", "scalar_regression"]
N, SUM_E, SUM_E2 = (SUMS.index(name) for name in ("n", "sum_e", "sum_e2"))
QUIET = ("logger=csv", "data.baselines=[]", "action.scene_scores=false", "trainer.max_epochs=1")
WHOLE_IMAGES = ("data.num_scenes=12", "data.scene_px=32", "data.tile_px=32", "data.batch_size=4")


def small(kind: str) -> list[str]:
    """Return the overrides of a run of a kind of task."""
    if kind in ("segmentation", "regression"):
        return [*SMALL, *QUIET, f"task={kind}"]
    kept = [text for text in SMALL if not text.startswith(("data.", "decoder"))]
    return [*kept, *QUIET, f"task={kind}", "decoder=identity", *WHOLE_IMAGES]


@pytest.fixture(scope="module", params=KINDS)
def tested(request, tmp_path_factory):
    """Return a kind of task and the folder of a run of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp(request.param))
        run(*small(request.param), f"study={request.param}")
        return request.param, only_run(request.param).resolve()


def kept_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "predictions.npz", allow_pickle=False) as file:
        return dict(file)


def test_the_arrays_have_a_row_per_test_tile_of_the_splits(tested):
    kind, folder = tested
    kept = kept_of(folder)
    with (folder / "splits.csv").open() as file:
        tiles = [int(row["tile"]) for row in csv.DictReader(file) if row["split"] == "test"]
    assert tiles == list(range(len(kept["prediction"])))
    assert kept["prediction"].shape == kept["label"].shape
    expected = np.float16 if "regression" in kind else np.uint8
    assert kept["prediction"].dtype == kept["label"].dtype == expected
    assert ("score" in kept) is (kind in ("classification", "multilabel"))


def test_the_runs_counts_follow_from_the_file(tested):
    kind, folder = tested
    kept = kept_of(folder)
    counts = np.load(folder / ("tile_sums.npz" if "regression" in kind else "confusion.npz"))["test"]
    said, truth = kept["prediction"], kept["label"]
    for tile in range(len(said)):
        if "regression" in kind:
            for variable in range(said.shape[1]):
                error = said[tile, variable].astype(float) - truth[tile, variable].astype(float)
                error = error[np.isfinite(error)]
                assert error.size == counts[tile, variable, N]
                scale = np.sqrt(counts[:, variable, SUM_E2].sum() / counts[:, variable, N].sum())
                assert abs(error.sum() - counts[tile, variable, SUM_E]) < 0.05 * scale * max(error.size, 1)
        elif kind == "multilabel":
            for name in range(said.shape[1]):
                known = truth[tile, name] != 255
                assert counts[tile, name, truth[tile, name], said[tile, name]] == 1 if known else True
                assert counts[tile, name].sum() == known
        else:
            known = truth[tile] != 255
            matrix = np.zeros(counts[tile].shape, int)
            np.add.at(matrix, (truth[tile][known], said[tile][known]), 1)
            assert matrix.tolist() == counts[tile].tolist()


def test_scores_are_probabilities_that_agree_with_the_prediction(tested):
    kind, folder = tested
    kept = kept_of(folder)
    if kind == "classification":
        assert kept["score"].dtype == np.float16
        assert kept["score"].sum(axis=1) == pytest.approx(1, abs=0.01)
        assert (kept["score"].argmax(axis=1) == kept["prediction"]).mean() > 0.9  # float16 may make two equal
    if kind == "multilabel":
        assert ((kept["score"] >= 0.5) == kept["prediction"]).mean() > 0.9


def test_the_file_is_read_without_torch(tested):
    _, folder = tested
    code = (
        "import sys, numpy as np; kept = np.load(sys.argv[1], allow_pickle=False); "
        "assert len(kept['prediction']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(folder / "predictions.npz")], check=True)


@pytest.mark.parametrize(("limit", "written"), [("0", False), ("null", True), ("1", True)])
def test_a_limit_decides_whether_it_is_written(limit, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*small("segmentation"), "study=limit", f"action.predictions_mb={limit}")
    assert (only_run("limit") / "predictions.npz").is_file() is written
    assert not any("predictions" in line for line in record_of(only_run("limit"))["said"])


def keep(target: Target, output: torch.Tensor, truth: torch.Tensor, limit_mb: int | None = None) -> Predictions:
    """Return what is kept of outputs of one batch of all tiles."""
    kept = Predictions(target, len(output), limit_mb)
    batch = {"output": output, "tile": torch.arange(len(output)), "mask": truth, "label": truth}
    kept.on_test_batch_end(None, None, batch, {}, 0)
    return kept


def test_what_is_too_large_is_left_out_and_said(tmp_path, caplog):
    target = Target("segmentation", ("a", "b"))
    path = tmp_path / "predictions.npz"
    path.write_bytes(b"of an earlier part")
    with caplog.at_level("INFO", "geocompose"):
        keep(target, torch.zeros(3, 2, 800, 800), torch.zeros(3, 800, 800, dtype=torch.long), limit_mb=1).write(path)
    assert not path.exists()
    assert "3 test tiles take 4 MB, and action.predictions_mb is 1" in caplog.text


@pytest.mark.parametrize(("classes", "dtype"), [(255, np.uint8), (256, np.uint16), (300, np.uint16)])
def test_many_classes_get_a_wider_type(classes, dtype, tmp_path):
    target = Target("segmentation", tuple(map(str, range(classes))), ignore_index=-1)
    truth = torch.tensor([[[classes - 1, -1]]])
    output = torch.zeros(1, classes, 1, 2)
    output[:, classes - 1] = 1
    keep(target, output, truth).write(tmp_path / "predictions.npz")
    kept = kept_of(tmp_path)
    assert kept["prediction"].dtype == kept["label"].dtype == dtype
    assert kept["prediction"].tolist() == [[[classes - 1, classes - 1]]]
    assert kept["label"].tolist() == [[[classes - 1, np.iinfo(dtype).max]]]


@pytest.mark.parametrize(
    ("mean", "std", "dtype"),
    [(150.0, 40.0, np.float16), (100_000.0, 40.0, np.float32), (3000.0, 10.0, np.float32), (1e-9, 1e-9, np.float32)],
)
def test_numbers_that_float16_would_change_are_float32_and_said(mean, std, dtype, tmp_path, caplog):
    target = Target("scalar_regression", ("carbon",), mean=(mean,), std=(std,))
    output = torch.tensor([0.123, -1.04])
    with caplog.at_level("INFO", "geocompose"):
        keep(target, output, torch.tensor([mean, float("nan")])).write(tmp_path / "predictions.npz")
    kept = kept_of(tmp_path)
    assert kept["prediction"].dtype == kept["label"].dtype == dtype
    assert kept["prediction"][:, 0] == pytest.approx(output.numpy() * std + mean, abs=0.01 * std)
    assert np.isnan(kept["label"][:, 0]).tolist() == [False, True]
    assert ("float16 would change a value of carbon" in caplog.text) is (dtype == np.float32)


def test_tiles_that_were_not_scored_are_not_written_as_if_they_were(tmp_path):
    kept = Predictions(Target("segmentation", ("a", "b")), 3, None)
    batch = {"tile": torch.tensor([0, 2]), "mask": torch.zeros(2, 4, 4, dtype=torch.long)}
    kept.on_test_batch_end(None, None, {"output": torch.zeros(2, 2, 4, 4), **batch}, {}, 0)
    with pytest.raises(AssertionError, match="1 of 3 test tiles"):
        kept.write(tmp_path / "predictions.npz")
    assert not list(tmp_path.iterdir())
