"""One run, killed ten times, ends as the same run that nobody disturbed: bit for bit."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.kit.command import SMALL
from tests.kit.places import ROOT

KILLS = 10
# Of a record, what says when, where and in how many parts it was computed.
OF_THE_PROCESS = (
    "started", "finished", "seconds", "resumed", "hardware", "peak_memory_mb", "command", "process", "epochs",
)  # fmt: skip
COMMAND = [*SMALL, "trainer.max_epochs=40", "trainer.early_stopping_patience=null", "trainer.keep=[best,last]"]


def start(folder: Path, more_overrides: list[str]) -> subprocess.Popen[bytes]:
    # TMPDIR on another file system: a checkpoint that was made there could not be renamed into its place.
    shared = Path("/dev/shm")
    more = {"TMPDIR": str(shared)} if shared.is_dir() else {}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run.py"), *COMMAND, *more_overrides],
        cwd=folder,
        env=os.environ | more,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def run_folder(folder: Path) -> Path | None:
    return next(iter((folder / "outputs" / "default").glob("*/")), None) if (folder / "outputs").exists() else None


def epochs(folder: Path) -> int:
    there = run_folder(folder)
    file = None if there is None else there / "metrics.csv"
    return len(file.read_text().splitlines()) if file is not None and file.exists() else 0


def kill(process: subprocess.Popen[bytes], folder: Path, drawn: random.Random, *, writing: bool) -> bool:
    """Kill a run after it has gone on: while a checkpoint is written, or at any moment. False: it ended before."""
    before, moment = epochs(folder), drawn.uniform(0, 0.5)
    while process.poll() is None:
        if epochs(folder) > before:
            there = run_folder(folder)
            assert there is not None
            while writing and process.poll() is None and not list((there / "checkpoints").glob(".*.tmp")):
                pass
            if not writing:
                time.sleep(moment)
            process.send_signal(signal.SIGKILL)
            return process.wait() == -signal.SIGKILL
        time.sleep(0.005)
    return False


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    there = run_folder(folder)
    assert there is not None
    return torch.load(there / "checkpoints" / name, map_location="cpu", weights_only=True)["state_dict"]


def record(folder: Path) -> dict[str, Any]:
    there = run_folder(folder)
    assert there is not None
    content = json.loads((there / "record.json").read_text())
    for name in ("best_sha256", "best_bytes"):
        content["training"].pop(name)  # of a file in which Lightning notes paths
    return {key: value for key, value in content.items() if key not in OF_THE_PROCESS}


def metrics(folder: Path) -> list[dict[str, str]]:
    there = run_folder(folder)
    assert there is not None
    with (there / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if "second" not in key and "time" not in key} for row in rows]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(
    "overrides", [[], ["task.sampler=rare_classes", "task.class_weights=balanced"]], ids=["plain", "drawn"]
)
def test_ten_kills_leave_no_trace(overrides: list[str], tmp_path: Path) -> None:
    drawn = random.Random(20251)
    plain, killed = tmp_path / "plain", tmp_path / "killed"
    plain.mkdir()
    killed.mkdir()
    assert start(plain, overrides).wait() == 0
    done = 0
    for number in range(KILLS):
        done += kill(start(killed, overrides), killed, drawn, writing=number % 2 == 0)
    assert done == KILLS
    assert start(killed, overrides).wait() == 0
    for name in ("best.ckpt", "last.ckpt"):
        expected, found = weights(plain, name), weights(killed, name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), name
    assert metrics(plain) == metrics(killed)
    assert record(plain) == record(killed)
    there = run_folder(killed)
    assert there is not None
    # A kill before the first checkpoint leaves nothing to resume: the run begins anew.
    assert KILLS - 1 <= json.loads((there / "record.json").read_text())["resumed"] <= KILLS
    assert {path.name for path in (there / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
