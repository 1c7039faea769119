"""A program whose runs take no time and no torch: for sweeps of many cells, and for cells that end badly."""

import ctypes
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geocompose.errors import UserError
from geocompose.experiment import Experiment
from geocompose.launchers.runs import computes_runs
from geocompose.runs import Record, RunFolder
from geocompose.studies.cells import Outcome, outcome_of
from geocompose.studies.standing import is_finished, is_refused

CONFIG = """
defaults:
  - _self_
  - action: run
  - backbone: part
  - launcher: in_process
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
  - override hydra/sweeper: geocompose
study: default
seed: 0
debug: false
rerun: false
retry: null
ablate: null
hydra: {output_subdir: null, run: {dir: .}, sweep: {dir: ., subdir: .}, job: {chdir: false}}
"""
OPTIONS = {
    "action/run": "{_target_: tests.kit.swept_runs.run, becomes: done, seconds: 0.0, test: true, strict: false}",
    "backbone/part": "{_target_: tests.kit.swept_runs.Part, name: a}",
    "backbone/own": "_target_: ???\nname: a",
    "action/work": "{_target_: geocompose.actions.work.work, slice: null, trust: null}",
    "launcher/in_process": "{_target_: geocompose.launchers.in_process.InProcessEngine, hours: null}",
    "launcher/plan_only": "{_target_: geocompose.launchers.plan_only.PlanOnlyEngine}",
    "launcher/local": (
        "{_target_: geocompose.launchers.local.LocalEngine, workers: 1, timeout_minutes: null, memory_gb: null, "
        "gpus: null, hours: null}"
    ),
}


def write_conf(conf: Path) -> None:
    """Write the program's configuration."""
    for name, text in {"config": CONFIG, **OPTIONS}.items():
        path = conf / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class Part:
    """A part of runs. name: begins with impossible where it fits nothing; odd and deadly break its trial."""

    def __init__(self, name: str = "a") -> None:
        self.name = name


class OwnPart(Part):
    """A part that conf/ does not name."""


class Folders:
    """Tells which runs experiments are."""

    def __init__(self, conf_dir: Path) -> None:
        self.conf_dir = conf_dir

    def folder(self, experiment: Experiment) -> RunFolder:
        config = experiment.config
        if config["seed"] < 0:
            raise UserError(f"seed must be 0 or more; got {config['seed']}.")
        action = {**config["action"], "test": None, "strict": None, "_target_": None, "trust": None}
        data = Path("data.txt").read_text() if Path("data.txt").exists() else ""
        counts = [config["seed"], config["backbone"], action, data]
        identity = hashlib.sha256(json.dumps(counts, sort_keys=True).encode()).hexdigest()[:10]
        return RunFolder(Path("outputs") / config["study"] / f"{config['backbone']['name']}-{identity}")


def try_out(config: Mapping[str, Any]) -> None:
    """Refuse what can't be, and note what was tried."""
    name = config["backbone"]["name"]
    with open("tried.txt", "a") as file:
        file.write(f"{name}\n")
    if name.startswith("impossible") and not Path("possible").exists():
        raise UserError("The parts don't fit together.")
    if name == "odd":
        raise RuntimeError("A fault of the trial's own.")
    if name == "deadly":
        os._exit(1)


@computes_runs(Folders, try_out)
def run(
    experiment: Experiment,
    becomes: str = "done",
    seconds: float = 0.0,
    test: bool = True,
    strict: bool = False,
) -> Outcome:
    """Compute a run that ends as it is told; `once` ends badly the first time alone."""
    if becomes == "other data":
        Path("data.txt").write_text("changed")
    folder = Folders(experiment.conf_dir).folder(experiment)
    if is_finished(folder, experiment.config, test=test):
        return outcome_of(folder, folder.read(), computed=False)
    if is_refused(folder, experiment.config):
        raise UserError(f"This run failed before: {folder.read().error}")
    if becomes == "failed early":
        raise UserError("The weights can't be read.")
    if becomes == "crashed early":
        ctypes.string_at(0)
    with folder.lock():
        if is_finished(folder, experiment.config, test=test):
            return outcome_of(folder, folder.read(), computed=False)
        resume = folder.status() in ("interrupted", "failed")
        record = Record(folder.path.name.rpartition("-")[2], command=" ".join(sys.argv))
        record = folder.begin(record, config="{}", overrides=experiment.overrides, resume=resume)
        with open("begun.txt", "a") as file:
            file.write(f"{record.run_id}\n")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.01)
        try:
            _end(becomes, resume)
        except KeyboardInterrupt:
            folder.interrupt(record)
            raise
        except Exception as error:
            folder.fail(record, error)
            raise
        seed = experiment.config["seed"]
        record.metrics = {"val/mIoU": 0.5 + seed / 100, "test/mIoU": 0.25 + seed / 100}
        folder.finish(record)
        with open("completed.txt", "a") as file:
            file.write(f"{record.run_id}\n")
        return outcome_of(folder, record, computed=True)


def _end(becomes: str, resumed: bool) -> None:
    if becomes == "failed" or (becomes == "failed_once" and not resumed):
        raise UserError("The loss is not a number.")
    if becomes == "crashed":
        ctypes.string_at(0)
    if becomes == "spoils_plan":
        with open("outputs/default/cells.jsonl", "a") as file:
            file.write("spoilt\n")
    if becomes == "exited":
        os._exit(3)
    if becomes == "killed_once" and not resumed:
        os.kill(os.getpid(), signal.SIGKILL)
    if becomes == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
