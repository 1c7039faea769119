"""A run of two processes is the run of one: losses to 1e-6, counts to the last, for every kind of task and loss."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from geocompose.data.shares import Share, SharedBatches
from geocompose.errors import UserError
from geocompose.runs import RunFolder
from geocompose.runs.epoch_rows import read_metrics
from geocompose.training.processes import Processes, processes_of
from tests.kit.command import only_run, record_of, run
from tests.kit.places import ROOT

# No batch normalisation; 10 training tiles in batches of 4, so that the last batch has 2, one for each process, and 5
# validation tiles, so that one process has one more.
SMALL = [
    "backbone=vit", "backbone.name=vit_tiny_patch16_224", "backbone.img_size=32", "++backbone.kwargs={depth: 2}",
    "decoder=linear", "data.num_scenes=5", "data.scene_px=64", "data.tile_px=32", "data.batch_size=4",
    "trainer.accelerator=cpu", "trainer.max_epochs=2", "trainer.progress_bar=false",
]  # fmt: skip
LINEAR_BESIDE = "auxiliary.decoders=[{name: aux, decoder: LinearDecoder, decoder_args: {}}]"
TWO = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]


def assert_alike(one: str, two: str) -> None:
    """Compare two runs of which the second had two processes."""
    first, second = record_of(only_run(one)), record_of(only_run(two))
    for a, b in zip(
        read_metrics(only_run(one) / "metrics.csv"), read_metrics(only_run(two) / "metrics.csv"), strict=True
    ):
        assert a.keys() == b.keys()
        assert list(b.values()) == pytest.approx(list(a.values()), abs=1e-6, rel=1e-6, nan_ok=True)
    assert first["training"]["steps"] == second["training"]["steps"]
    assert first["metrics"].keys() == second["metrics"].keys()
    counts = next(name for name in ("confusion.npz", "tile_sums.npz") if (only_run(one) / name).exists())
    with np.load(only_run(one) / counts) as a, np.load(only_run(two) / counts) as b:
        for split in ("val", "test"):
            np.testing.assert_allclose(b[split], a[split], rtol=1e-5, atol=1e-4 if counts == "tile_sums.npz" else 0)
    kept, also = (np.load(only_run(study) / "predictions.npz") for study in (one, two))
    assert kept["label"].tobytes() == also["label"].tobytes()
    assert kept["prediction"].dtype == also["prediction"].dtype
    assert np.allclose(kept["prediction"], also["prediction"], rtol=1e-2, equal_nan=True)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        pytest.param(["task.loss={ce: 0.5, dice: 0.5}"], marks=pytest.mark.slow),
        pytest.param(["task.loss=lovasz", "task.class_weights=null"], marks=pytest.mark.slow),
        pytest.param(["task.loss=focal", "task.class_weights=[1,2,3,4,5,6]"], marks=pytest.mark.slow),
        pytest.param([LINEAR_BESIDE, "task.aux_loss={aux: 0.4}"], marks=pytest.mark.slow),
        pytest.param(["task=classification"], marks=pytest.mark.slow),
        pytest.param(["task=multilabel"], marks=pytest.mark.slow),
        pytest.param(["task=regression"], marks=pytest.mark.slow),
        pytest.param(["task=scalar_regression"], marks=pytest.mark.slow),
        pytest.param(["peft=lora", "trainer.ema_decay=0.5"], marks=pytest.mark.slow),
        pytest.param(["trainer.accumulate_grad_batches=2", "task.sampler=rare_classes", "data.random_crop=false"],
                     marks=pytest.mark.slow),
    ],
    ids=lambda overrides: " ".join(overrides) or "segmentation",
)  # fmt: skip
def test_two_processes_compute_what_one_does(overrides, tmp_path, monkeypatch, recwarn):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, *overrides, "study=one")
    run(*SMALL, *overrides, *TWO, "study=two")
    assert_alike("one", "two")
    assert not [one for one in recwarn if "sync_dist" in str(one.message)], "metrics are those of all already"


@pytest.mark.slow
def test_torchrun_computes_what_one_process_does_and_knows_when_it_is_finished(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "study=one")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(ROOT / "run.py")]
    for _ in range(2):
        done = subprocess.run(
            [*torchrun, *SMALL, "trainer=ddp", "trainer.accelerator=cpu", "study=two"],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert_alike("one", "two")
    assert "already finished" in done.stdout + done.stderr
    assert record_of(only_run("two"))["resumed"] == 0


@pytest.mark.slow
def test_a_shared_run_that_was_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [*SMALL, *TWO, "trainer.max_epochs=30", "study=stopped"]
    process = subprocess.Popen([sys.executable, str(ROOT / "run.py"), *command], stdout=subprocess.DEVNULL)
    others = wait_for_epochs(process, tmp_path, 3)
    process.kill()
    process.wait()
    _gone, alive = psutil.wait_procs(others, timeout=20)
    assert others
    assert not alive, "the other process outlived the run"
    assert RunFolder(only_run("stopped")).status() == "interrupted"
    run(*command)
    assert record_of(only_run("stopped"))["resumed"] == 1
    run(*command, "study=undisturbed")
    assert (only_run("stopped") / "metrics.csv").read_text() == (only_run("undisturbed") / "metrics.csv").read_text()


@pytest.mark.slow
def test_a_run_whose_other_process_dies_ends_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [*SMALL, *TWO, "trainer.max_epochs=200", "study=lost"]
    process = subprocess.Popen([sys.executable, str(ROOT / "run.py"), *command], stderr=subprocess.PIPE, text=True)
    for other in wait_for_epochs(process, tmp_path, 3):
        other.kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Process 1 of the run died (signal 9)" in said
    assert RunFolder(only_run("lost")).status() == "failed"


def wait_for_epochs(process: subprocess.Popen, folder: Path, number: int) -> list[psutil.Process]:
    """Wait until a run has so many epochs, and return the processes that it has started."""
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        rows = [len(path.read_text().splitlines()) for path in folder.glob("outputs/*/*/metrics.csv")]
        if any(count > number for count in rows):
            children = psutil.Process(process.pid).children(recursive=True)
            return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        time.sleep(0.1)
    raise AssertionError("the run ended, or never began")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([*TWO, "data.batch_size=5"], r"batch_size=5 .* 2 processes .* Write 4 or 6"),
        (["trainer=fsdp"], r"trainer=fsdp shares a model among GPUs"),
        (["trainer=ddp", "trainer.num_nodes=2"], r"num_nodes=2: .*torchrun"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_a_process_starts(overrides, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run(*SMALL, *overrides)
    assert not (tmp_path / "outputs").exists()


TORCHRUN = {"TORCHELASTIC_RUN_ID": "a", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
SLURM = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_NNODES": "2"}


@pytest.mark.parametrize("given", [TORCHRUN, SLURM], ids=["torchrun", "srun"])
def test_processes_that_others_started_are_known(given, monkeypatch):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    ddp = {"strategy": "ddp", "devices": "auto", "num_nodes": 2, "accelerator": "cpu"}
    assert processes_of(ddp) == Processes(5, 8, 1, 4, outside=True)
    assert processes_of({**ddp, "strategy": None}) == Processes()  # a run of one process within such a job


def test_machines_with_other_numbers_of_processes_are_refused(monkeypatch):
    for name, value in {**SLURM, "SLURM_NTASKS": "7"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="7 processes on 2 machines: start as many on each"):
        processes_of({"strategy": "ddp", "devices": "auto", "num_nodes": 2, "accelerator": "cpu"})


def test_batch_normalisation_over_a_share_is_said(caplog):
    from torch import nn

    from geocompose.training.shared_norms import tell_shares

    tell_shares(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)), 8, Processes(0, 2, 0, 2))
    assert "1 layer of batch normalisation take the statistics of each process's 4 samples" in caplog.text


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("number", range(1, 14))
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_shares_make_up_the_batches_of_one_process(size, number, drop_last):
    alone = list(SharedBatches(range(number), 6, Share(), drop_last=drop_last))
    shares = [list(SharedBatches(range(number), 6, Share(rank, size), drop_last=drop_last)) for rank in range(size)]
    assert len({len(share) for share in shares}) == 1
    for place, batch in enumerate(alone):
        parts = [share[place] for share in shares]
        assert len({len(part) for part in parts}) == 1
        assert [item for part in parts for item in part if item != -1] == batch
