"""Runs that count instead of learning: records, locks and checkpoints as of any run, in no time and without torch."""

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
from geocompose.runs.atomic import write_text
from geocompose.studies.cells import Outcome, outcome_of
from geocompose.studies.standing import is_finished, is_refused
from tests.kit.places import CONF

CONFIG = """
defaults:
  - _self_
  - action: count
  - launcher: local
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
  - override hydra/sweeper: geocompose
study: s
seed: 0
debug: false
rerun: false
retry: null
hydra: {output_subdir: null, run: {dir: .}, sweep: {dir: ., subdir: .}, job: {chdir: false}}
"""
COUNT = "{_target_: tests.kit.counted_runs.count, steps: 10, step_s: 0.02, ends: well, strict: false}"
WORK = "{_target_: geocompose.actions.work.work, slice: null, trust: null}"


def write_conf(folder: Path) -> Path:
    """Write the configuration of such runs and return its folder."""
    launchers = {f"launcher/{path.stem}": path.read_text() for path in (CONF / "launcher").glob("*.yaml")}
    files = {"config": CONFIG, "action/count": COUNT, "action/work": WORK, **launchers}
    for name, text in files.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


class Folders:
    """Tells which run a configuration is."""

    def __init__(self, conf_dir: Path) -> None: ...

    def folder(self, experiment: Experiment) -> RunFolder:
        config = experiment.config
        counts = json.dumps([config["seed"], config["action"]["steps"], config["action"]["ends"]])
        return RunFolder(Path("outputs", config["study"], f"a-b-c-{hashlib.sha256(counts.encode()).hexdigest()[:10]}"))


def try_out(config: Mapping[str, Any]) -> None:
    """Refuse what the test says."""
    if config["action"]["ends"] == "refused":
        raise UserError("decoder=unet needs four levels.")


@computes_runs(Folders, try_out)
def count(
    experiment: Experiment, steps: int = 10, step_s: float = 0.02, ends: str = "well", strict: bool = False
) -> Outcome:
    """Count to `steps`, with a checkpoint after each; or end in another way half-way."""
    folder = Folders(experiment.conf_dir).folder(experiment)
    config = experiment.config
    with folder.lock():
        if is_finished(folder, config, test=True):
            return outcome_of(folder, folder.read(), computed=False)
        if is_refused(folder, config):
            raise UserError(f"This run failed before: {folder.read().error}")
        resume = folder.status() in ("interrupted", "failed") and folder.resumable is not None
        record = folder.begin(
            Record(folder.path.name[-10:]), config=f"seed: {config['seed']}\n", overrides=[], resume=resume
        )
        try:
            return _counted(folder, record, config["seed"], steps, step_s, ends)
        except KeyboardInterrupt:
            folder.interrupt(record)
            raise
        except Exception as error:
            folder.fail(record, error)
            raise


def _counted(folder: RunFolder, record: Record, seed: int, steps: int, step_s: float, ends: str) -> Outcome:
    state = {"step": 0, "hash": str(seed)}
    if record.resumed:
        assert folder.resumable is not None
        state = json.loads(folder.resumable.read_text())
    while state["step"] < steps:
        time.sleep(step_s)
        if state["step"] == steps // 2 and ends != "well":
            _end(ends)
        state = {"step": state["step"] + 1, "hash": hashlib.sha256(state["hash"].encode()).hexdigest()}
        write_text(folder.last, json.dumps(state))
    value = int(state["hash"][:8], 16) / 16**8
    record.metrics |= {"val/mIoU": value, "test/mIoU": value}
    folder.finish(record)
    return outcome_of(folder, record, computed=True)


def _end(how: str) -> None:
    if how == "raised":
        raise UserError("The data are odd.")
    if how == "exit":
        os._exit(7)
    if how == "sys.exit":
        sys.exit(7)
    os.kill(os.getpid(), getattr(signal, how))
    time.sleep(60)
