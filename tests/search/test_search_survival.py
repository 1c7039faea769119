"""Searches that are killed: the number of trials is exact, no point is computed twice, and pruned trials are marked."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kit.places import ROOT
from tests.kit.searched import states, trials
from tests.kit.searched_runs import write_conf

SPACE = ("trainer.lr=tag(log, interval(1e-4, 1))", "backbone=a,b", "trainer.width=range(1,8)")
TPE = ("search=tpe", "search.startup_trials=6", "search.pruner=median", *SPACE)


class Study:
    """A search in a folder of its own, which processes begin and are killed in."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder, self.search = folder, folder / "outputs/s/search"
        conf = write_conf(folder / "conf")
        self.command = [sys.executable, "-m", "tests.kit.searching", str(conf), "-m", *arguments]
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}

    def start(self) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(self.command, cwd=self.folder, env=self.environment, **pipes)

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def kill(self, epochs: int, seconds: float) -> None:
        """Begin, and be killed so many seconds after so many further epochs."""
        process = self.start()
        wanted, until = len(self.lines("epochs.txt")) + epochs, time.monotonic() + 120
        while len(self.lines("epochs.txt")) < wanted and process.poll() is None:
            assert time.monotonic() < until, "no epoch was computed"
            time.sleep(0.005)
        time.sleep(seconds)
        assert process.poll() is None, "it ended before it was killed"
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def end(self, processes: int) -> list[str]:
        """Have so many processes at once search to the end, and return what they print."""
        running = [self.start() for _ in range(processes)]
        printed = [each.communicate(timeout=300)[0] for each in running]
        assert [each.returncode for each in running] == [0] * processes, printed
        return printed


@pytest.mark.parametrize(
    ("kills", "wanted"), [(2, 8), pytest.param(5, 24, marks=pytest.mark.slow)], ids=["twice", "five times"]
)
def test_a_search_that_is_killed_and_resumed_by_two_processes_has_the_exact_number_of_trials(kills, wanted, tmp_path):
    study = Study(
        tmp_path, *TPE, f"search.trials={wanted}", "trainer.epoch_s=0.05", "launcher=local", "launcher.workers=2"
    )
    moments = random.Random(20250)
    for _ in range(kills):
        study.kill(moments.randint(1, 8), moments.uniform(0, 0.1))
    printed = study.end(processes=2)
    found = states(study.search)
    assert set(found) <= {"COMPLETE", "PRUNED"}
    assert sum(found.values()) == wanted
    points = [json.dumps(trial.params, sort_keys=True) for trial in trials(study.search)]
    assert len(set(points)) == len({trial.user_attrs["run_id"] for trial in trials(study.search)}) == wanted
    completed = study.lines("completed.txt")
    assert len(completed) == len(set(completed)), "a point was computed twice"
    # A kill may come between a worker's record and its note.
    assert found["COMPLETE"] - 2 * kills <= len(completed) <= found["COMPLETE"]
    for trial in trials(study.search):
        (record,) = study.folder.glob(f"outputs/s/*-{trial.user_attrs['run_id']}/record.json")
        said = json.loads(record.read_text())
        if trial.state.name == "PRUNED":
            assert (said["status"], said["stopped_by"]["how"]) == ("interrupted", "pruned")
        else:
            assert said["status"] == "completed"
    assert len({line for text in printed for line in text.splitlines() if line.startswith("chosen by search")}) == 1
    assert not list(study.search.glob("*/sweeps/*/.holder.json"))[kills:], "an owner that has ended leaves its note"


def test_a_halving_that_is_killed_trains_no_epoch_of_a_rung_twice(tmp_path):
    study = Study(
        tmp_path, "search=halving", "backbone=a,b,c", "trainer.width=4,8", "trainer.max_epochs=9",
        "trainer.epoch_s=0.05", "launcher=local", "launcher.workers=2",
    )  # fmt: skip
    for epochs in (3, 4):
        study.kill(epochs, 0.02)
    study.end(processes=2)
    # Of six cells two go on after 1 epoch, one after 3. A kill may come between an epoch and its note.
    epochs = [line.partition(":")[2] for line in dict.fromkeys(study.lines("epochs.txt"))]
    assert [epochs.count(str(number)) for number in range(1, 10)] == [6, 2, 2, 1, 1, 1, 1, 1, 1]
    assert states(study.search) == {"COMPLETE": 1, "PRUNED": 5}
