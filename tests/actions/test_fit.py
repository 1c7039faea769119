"""fit from the command line to the files on disk."""

import csv
import logging
import shutil

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from geocompose.errors import UserError
from geocompose.runs import RunFolder
from geocompose.runs.epoch_rows import read_metrics
from geocompose.training import computation, session
from tests.kit.command import SMALL, only_run, record_of, run


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder in which one small run of study `fitted` is finished."""
    folder = tmp_path_factory.mktemp("fitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(*SMALL, "study=fitted", figures=True)
    return folder


@pytest.fixture
def workplace(fitted, tmp_path, monkeypatch):
    """A working directory with a copy of the finished run."""
    shutil.copytree(fitted / "outputs", tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    return only_run("fitted")


def test_a_run_leaves_all_that_the_design_lists(workplace):
    record = record_of(workplace)
    assert record["status"] == "completed"
    assert workplace.name == f"timm-fcn-none-{record['run_id']}"
    for name in ("config.yaml", "overrides.yaml", "metrics.csv", "run.log", "confusion.npz"):
        assert (workplace / name).is_file(), name
    for name in ("curves", "confusion", "samples"):
        assert (workplace / "figures" / f"{name}.png").stat().st_size > 5000
    assert {path.name for path in (workplace / "checkpoints").iterdir()} == {"best.ckpt"}
    assert list((workplace / "tensorboard").glob("events*"))
    assert record["model"]["parameters"] >= record["model"]["trainable"] > 0
    assert record["model"]["gflops"] > 0
    assert record["data"]["splits"]["test"]["tiles"] == 4
    assert record["seeds"] == {"seed": 0, "data.seed": 0}
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert [baseline["name"] for baseline in record["baselines"]] == ["logistic"]


def test_recorded_metrics_are_those_of_the_stored_tile_matrices(workplace):
    from geocompose.scores import from_confusion

    record = record_of(workplace)
    with np.load(workplace / "confusion.npz") as matrices:
        for split in ("val", "test"):
            assert matrices[split].dtype == np.int64
            total = matrices[split].sum(axis=0)
            assert total.sum() == record["data"]["splits"][split]["labelled_pixels"]
            for name, value in from_confusion(total, record["data"]["target"]["names"]).items():
                recorded = record["metrics"][f"{split}/{name}"]
                assert recorded == value or (recorded is None and np.isnan(value))


def test_the_best_epoch_is_the_one_with_the_highest_validation_score(workplace):
    rows = read_metrics(workplace / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1]
    best = max(rows, key=lambda row: row["val/mIoU"])
    record = record_of(workplace)
    assert record["training"]["best_epoch"] == best["epoch"]
    assert record["metrics"]["val/mIoU"] == pytest.approx(best["val/mIoU"], abs=1e-6)
    assert rows[0]["lr"] == pytest.approx(5e-4)


def test_a_finished_run_only_prints_its_result(workplace, capsys, monkeypatch):
    monkeypatch.setattr(computation, "compute", None)
    before = (workplace / "record.json").stat().st_mtime_ns
    run(*SMALL, "study=fitted", "data.num_workers=1")
    assert (workplace / "record.json").stat().st_mtime_ns == before
    assert str(workplace) in capsys.readouterr().out


def test_the_same_seed_gives_identical_metrics_and_another_seed_another_run(workplace):
    run(*SMALL, "study=again")
    again, first = record_of(only_run("again")), record_of(workplace)
    assert again["run_id"] == first["run_id"]
    assert again["metrics"] == first["metrics"]
    run(*SMALL, "study=other", "seed=1")
    other = record_of(only_run("other"))
    assert other["run_id"] != first["run_id"]
    assert other["metrics"] != first["metrics"]
    assert other["data"] == first["data"]


def test_a_typed_value_does_not_change_the_identity(workplace):
    run(*SMALL, "study=fitted", "trainer.gradient_clip_val=1", "optimizer.weight_decay=5e-2")
    assert only_run("fitted") == workplace


class StopAfter(Callback):
    """Stops a fit from outside when an epoch has ended."""

    def __init__(self, epoch, error):
        self.epoch, self.error = epoch, error

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            raise self.error


def stopping(monkeypatch, epoch, error):
    real = session.instantiate

    def instantiate(node):
        built = real(node)
        if not str(node["_target_"]).endswith("build_trainer"):
            return built
        return lambda ours, **more: built(ours=[*ours, StopAfter(epoch, error)], **more)

    monkeypatch.setattr(session, "instantiate", instantiate)


def undisturbed_and_resumed(monkeypatch, overrides):
    """Compute a run in study `undisturbed`; and in `stopped`, interrupted after its second epoch and taken up again."""
    run(*overrides, "study=undisturbed")
    with monkeypatch.context() as patch:
        stopping(patch, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(*overrides, "study=stopped")
    run(*overrides, "study=stopped")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_interrupted_run_resumes_and_ends_like_an_undisturbed_one(num_workers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Workers fetch batches of the first epoch after a resume before the trainer names it.
    small = [*SMALL, "trainer.max_epochs=4", f"data.num_workers={num_workers}"]
    run(*small, "study=undisturbed")
    with monkeypatch.context() as patch:
        stopping(patch, 1, KeyboardInterrupt())
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run(*small, "study=stopped")
    stopped = only_run("stopped")
    assert RunFolder(stopped).status() == "interrupted"
    run(*small, "study=stopped")
    record, undisturbed = record_of(stopped), record_of(only_run("undisturbed"))
    assert record["status"] == "completed"
    assert record["resumed"] == 1
    assert [row["epoch"] for row in read_metrics(stopped / "metrics.csv")] == [0, 1, 2, 3]
    assert (stopped / "metrics.csv").read_text() == (only_run("undisturbed") / "metrics.csv").read_text()
    assert record["metrics"] == undisturbed["metrics"]


def test_the_log_of_a_run_holds_what_was_said_before_it_had_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["run.py", "study=told"])
    before = list(logging.getLogger("geocompose").handlers)
    run(*SMALL, "study=told", "data.tile_px=128", "trainer.max_epochs=1")
    first, *others = (only_run("told") / "run.log").read_text().splitlines()
    assert first.endswith("INFO python run.py study=told")
    assert any("WARNING data.tile_px=128 is more than any scene has" in line for line in others)
    assert logging.getLogger("geocompose").handlers == before
    with pytest.raises(UserError, match="above 0"):
        run(*SMALL, "study=told", "trainer.gradient_clip_val=0")
    assert logging.getLogger("geocompose").handlers == before


def test_a_failed_run_is_recorded_and_run_again_only_when_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        stopping(patch, 0, RuntimeError("the disk caught fire"))
        with pytest.raises(RuntimeError, match="caught fire"):
            run(*SMALL, "study=failed")
    folder = only_run("failed")
    assert record_of(folder)["status"] == "failed"
    assert "caught fire" in record_of(folder)["error"]
    assert "Traceback" in (folder / "run.log").read_text()
    with pytest.raises(UserError, match=r"failed before: .*caught fire.*retry=failed"):
        run(*SMALL, "study=failed")
    run(*SMALL, "study=failed", "retry=failed")
    assert record_of(folder)["status"] == "completed"
    assert record_of(folder)["error"] is None


def test_the_test_split_stays_closed_until_it_is_asked_for(workplace):
    run(*SMALL, "study=closed", "action.test=false")
    folder = only_run("closed")
    record = record_of(folder)
    assert record["metrics"]["val/mIoU"] > 0
    assert not any(name.startswith("test/") for name in record["metrics"])
    with np.load(folder / "confusion.npz") as matrices:
        assert list(matrices) == ["val"]
    checkpoint = (folder / "checkpoints" / "best.ckpt").stat().st_mtime_ns
    run(*SMALL, "study=closed")
    assert (folder / "checkpoints" / "best.ckpt").stat().st_mtime_ns == checkpoint
    assert record_of(folder)["metrics"] == record_of(workplace)["metrics"]
    assert record_of(folder)["training"] == record_of(workplace)["training"]


def test_metrics_are_one_row_an_epoch(workplace):
    with (workplace / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert {"epoch", "step", "lr", "train/loss", "val/loss", "val/mIoU"} <= set(rows[0])


def test_the_best_checkpoint_survives_the_move_of_an_interrupted_run(tmp_path, monkeypatch):
    unsteady = ("optimizer.lr=0.05", "trainer.max_epochs=5", "scheduler=none", "seed=3", "study=moved")
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    monkeypatch.chdir(first)
    with monkeypatch.context() as patch:
        stopping(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(*SMALL, *unsteady)
    shutil.copytree(first, second)
    run(*SMALL, *unsteady)
    stayed = record_of(only_run("moved"))
    monkeypatch.chdir(second)
    run(*SMALL, *unsteady)
    moved = record_of(only_run("moved"))
    assert moved["training"] == stayed["training"]
    assert moved["metrics"] == stayed["metrics"]


def test_dropout_of_a_resumed_run_is_that_of_an_undisturbed_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [*SMALL, "trainer.max_epochs=3", "head.dropout=0.5"]
    undisturbed_and_resumed(monkeypatch, small)
    losses = [
        [row["train/loss"] for row in read_metrics(only_run(s) / "metrics.csv")] for s in ("undisturbed", "stopped")
    ]
    assert losses[0] == losses[1]


def test_a_wrong_setting_leaves_an_earlier_result_alone(workplace):
    before = record_of(workplace)
    for wrong in ("optimizer.lr=-1", "trainer.accelerator=cda", "trainer.devices=2", "head.dropout=1.5"):
        with pytest.raises(Exception, match=r"."):
            run(*SMALL, "study=fitted", "rerun=true", wrong)
        assert record_of(workplace) == before
        assert (workplace / "checkpoints" / "best.ckpt").is_file()
    assert [path.name for path in workplace.parent.iterdir()] == [workplace.name]


def test_a_damaged_checkpoint_is_named(workplace):
    best = workplace / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"best\.ckpt is not the file that the run recorded: its sha256 differs"):
        run("action=evaluate", f"action.run={workplace}")
