"""Sweeps that are killed: every cell is completed once, every record parses, and the metrics are those of a calm sweep.

With real runs: python -m tests.kit.survival --real (see CONTRIBUTING.md).
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.counted_runs import write_conf
from tests.kit.jobs import wait_until
from tests.kit.places import ROOT
from tests.kit.survival import compare


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other processes import tests."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))


WAYS = ("one", "two", "slices")


# Two sweeps on one study, and slices that overlap, are in test_shared_studies.py too.
@pytest.mark.parametrize("way", [way if way == "one" else pytest.param(way, marks=pytest.mark.slow) for way in WAYS])
def test_a_sweep_that_is_killed_again_and_again_computes_every_cell_once(way, tmp_path):
    (study,) = compare(tmp_path, [way], cells=6, kills=2, seed=20250)
    assert len(study.kills) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_a_sweep_that_is_asked_to_end_shows_its_table_and_the_same_command_goes_on(number, tmp_path):
    conf = write_conf(tmp_path / "conf")
    command = [sys.executable, "-m", "tests.kit.count", str(conf), "-m", "seed=0,1,2", "launcher.workers=2"]
    pipes = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([*command, "action.step_s=1"], **pipes)
    wait_until(lambda: len(list(tmp_path.glob("outputs/s/*/checkpoints/last.ckpt"))) == 2, seconds=120)
    process.send_signal(number)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode not in (0, -number), "it was killed, or it says that all is well"
    assert "3 cells: 2 interrupted, 1 waiting" in shown
    assert {record["status"] for record in records(tmp_path)} == {"interrupted"}
    again = subprocess.run(command, timeout=120, check=False, **pipes)
    assert again.returncode == 0
    assert "3 cells: 3 done" in again.stdout
    assert [record["resumed"] for record in records(tmp_path)].count(1) == 2


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in folder.glob("outputs/s/*/record.json")]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_large_sweep_that_is_killed_ten_times_computes_every_cell_once(way, tmp_path):
    (study,) = compare(tmp_path, [way], cells=60, kills=10, seed=20250)
    assert len(study.kills) == 10


@pytest.mark.slow
def test_a_sweep_of_real_runs_that_is_killed_computes_every_cell_once(tmp_path):
    compare(tmp_path, ["one"], cells=8, kills=3, seed=20250, real=True)
