"""Runs whose scores follow from their settings, epoch by epoch; records, locks and checkpoints as of any run."""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from geocompose.errors import UserError
from geocompose.experiment import Experiment
from geocompose.launchers.engine import Ended, Job, Started
from geocompose.launchers.in_process import InProcessEngine
from geocompose.launchers.runs import Judged, computes_runs
from geocompose.runs import Record, RunFolder
from geocompose.runs.watching import StoppedError
from geocompose.studies.cells import Outcome, outcome_of
from geocompose.studies.standing import is_finished, is_refused
from tests.kit.places import CONF

CONFIG = """
defaults:
  - _self_
  - action: climb
  - backbone: a
  - trainer: default
  - launcher: in_process
  - search: none
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
OPTIONS = {
    "action/climb": "{_target_: tests.kit.searched_runs.climb, test: true}",
    "action/other": "{_target_: geocompose.actions.work.work, slice: null, trust: null}",
    **{f"backbone/{name}": f"{{_target_: tests.kit.searched_runs.Part, name: {name}}}" for name in ("a", "b", "c")},
    "launcher/batch": "{_target_: tests.kit.searched_runs.BatchEngine}",
    "backbone/impossible": "{_target_: tests.kit.searched_runs.Part, name: impossible}",
    "backbone/failing": "{_target_: tests.kit.searched_runs.Part, name: failing}",
    "backbone/failing_once": "{_target_: tests.kit.searched_runs.Part, name: failing_once}",
    "trainer/default": (
        "{_target_: tests.kit.searched_runs.Trainer, lr: 0.1, width: 1, max_epochs: 4, epoch_s: 0.0, frozen: 0, "
        "select_by: val/mIoU}"
    ),
}


class BatchEngine:
    """An engine that takes whole batches, and notes how large they are."""

    def compute(self, jobs: Sequence[Job], told: Callable[[Started | Ended], None]) -> None:
        _append("batches.txt", str(len(jobs)))
        InProcessEngine().compute(jobs, told)


HEIGHT = {"a": 0.3, "b": 0.5, "c": 0.4}  # of what a backbone climbs to


def write_conf(conf: Path) -> Path:
    """Write the configuration of such runs and return its folder."""
    own = {f"{group}/{path.stem}": path.read_text() for group in ("launcher", "search")
           for path in (CONF / group).glob("*.yaml")}  # fmt: skip
    for name, text in {"config": CONFIG, **OPTIONS, **own}.items():
        path = conf / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return conf


class Part:
    """A part of runs."""

    def __init__(self, name: str = "a") -> None: ...


class Trainer:
    """How runs are trained; frozen: epochs in which nothing is learnt. select_by: val/mIoU or val/loss."""

    def __init__(
        self,
        lr: float = 0.1,
        width: int = 1,
        max_epochs: int = 4,
        epoch_s: float = 0.0,
        frozen: int = 0,
        select_by: str = "val/mIoU",
    ) -> None: ...


class Folders:
    """Tells which run a configuration is."""

    def __init__(self, conf_dir: Path) -> None: ...

    def folder(self, experiment: Experiment) -> RunFolder:
        config = experiment.config
        trainer = {key: value for key, value in config["trainer"].items() if key != "epoch_s"}
        identity = hashlib.sha256(json.dumps([config["seed"], config["backbone"], trainer]).encode()).hexdigest()[:10]
        return RunFolder(Path("outputs", config["study"], f"{config['backbone']['name']}-b-c-{identity}"))


def try_out(config: Mapping[str, Any]) -> None:
    """Refuse what can't be, and note what was tried."""
    _append("tried.txt", config["backbone"]["name"])
    if config["backbone"]["name"] == "impossible":
        raise UserError("The parts don't fit together.")


def judged(config: Mapping[str, Any]) -> Judged:
    """Say how runs are judged."""
    metric = config["trainer"]["select_by"]
    better = "lower" if metric == "val/loss" else "higher"
    return Judged(metric, better, config["trainer"]["max_epochs"], frozen=config["trainer"]["frozen"])


def loss(config: Mapping[str, Any], epochs: int) -> float:
    """Return the validation loss after so many epochs, which grows with the score."""
    return 2 * score(config, epochs)


def by(config: Mapping[str, Any], epochs: int) -> float:
    """Return what a run is selected by after so many epochs."""
    return (loss if config["trainer"]["select_by"] == "val/loss" else score)(config, epochs)


def score(config: Mapping[str, Any], epochs: int) -> float:
    """Return the validation score after so many epochs: best where lr is 0.01 and the width is 4."""
    trainer = config["trainer"]
    if epochs <= trainer["frozen"]:
        return 0.01
    distance = abs(math.log10(trainer["lr"]) + 2) / 10 + abs(trainer["width"] - 4) / 40
    return (HEIGHT.get(config["backbone"]["name"], 0.0) - distance) * epochs / trainer["max_epochs"] + 0.4


@computes_runs(Folders, try_out, judged)
def climb(experiment: Experiment, test: bool = True) -> Outcome | None:
    """Compute a run, with a checkpoint after each epoch; a watch may stop it."""
    folder = Folders(experiment.conf_dir).folder(experiment)
    config = experiment.config
    with folder.lock():
        if is_finished(folder, config, test=test):
            return outcome_of(folder, folder.read(), computed=False)
        if is_refused(folder, config):
            raise UserError(f"This run failed before: {folder.read().error}")
        state = folder.status()
        resume = state == "completed" or (state in ("interrupted", "failed") and folder.resumable is not None)
        record = folder.begin(Record(folder.path.name[-10:]), config="{}", overrides=[], resume=resume)
        try:
            if state != "completed":
                _trained(experiment, folder, failed_before=state == "failed")
            every = range(1, config["trainer"]["max_epochs"] + 1)
            choose, metric = (min if judged(config).better == "lower" else max), config["trainer"]["select_by"]
            best = choose(every, key=lambda epochs: by(config, epochs))
            record.metrics = {"val/mIoU": score(config, best), "val/loss": loss(config, best)}
            record.metrics |= {"test/mIoU": 1 - score(config, best)} if test else {}
            record.training["selected_by"] = metric
            folder.finish(record)
            _append("tested.txt" if test else "completed.txt", record.run_id)
            return outcome_of(folder, record, computed=True)
        except StoppedError as stopped:
            folder.stop(record, stopped.stop)
            return None
        except KeyboardInterrupt:
            folder.interrupt(record)
            raise
        except Exception as error:
            folder.fail(record, error)
            raise


def _trained(experiment: Experiment, folder: RunFolder, *, failed_before: bool) -> None:
    config = experiment.config
    num_epochs = config["trainer"]["max_epochs"]
    epochs = json.loads(folder.resumable.read_text()) if folder.resumable else 0
    if epochs:
        _look(experiment, epochs)
    while epochs < num_epochs:
        time.sleep(config["trainer"]["epoch_s"])
        name = config["backbone"]["name"]
        if name == "failing" or (name == "failing_once" and not failed_before):
            raise UserError("The loss is not a number.")
        epochs += 1
        rows = [f"{epoch},{score(config, epoch + 1)!r},{loss(config, epoch + 1)!r}" for epoch in range(epochs)]
        _replace(folder.metrics, "\n".join(["epoch,val/mIoU,val/loss", *rows, ""]))
        _replace(folder.last, json.dumps(epochs))
        _append("epochs.txt", f"{folder.path.name[-10:]}:{epochs}")
        _look(experiment, epochs)


def _look(experiment: Experiment, epochs: int) -> None:
    config = experiment.config
    if experiment.watch is None or epochs >= config["trainer"]["max_epochs"] or epochs <= config["trainer"]["frozen"]:
        return
    stop = experiment.watch.look(epochs, {each: by(config, each) for each in range(1, epochs + 1)})
    if stop is not None:
        raise StoppedError(stop)


def _append(name: str, line: str) -> None:
    file = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def _replace(path: Path, text: str) -> None:
    """Write a file whole, as far as kills go; nobody cuts the power in tests."""
    path.with_suffix(".part").write_text(text)
    path.with_suffix(".part").replace(path)
