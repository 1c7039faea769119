"""Loggers beside metrics.csv: the same names in each, one run of it for one of ours, and none fails a run."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger

from geocompose.catalog import optional
from geocompose.errors import UserError
from geocompose.training import pace
from geocompose.training.loggers import LoggedRun, logger_maker
from tests.kit.command import SMALL, only_run, record_of, run

PLAIN = (*SMALL, "data.baselines=[]", "action.scene_scores=false")


def needs(package: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.optional, pytest.mark.skipif(not optional.installed(package), reason=f"needs {package}")]


BUILT_IN = ["tensorboard", "own", *(pytest.param(name, marks=needs(name)) for name in ("mlflow", "wandb"))]
OWN = "logger._target_=tests.training.test_loggers."


class Failing(CSVLogger):
    """A logger that fails when it is told a metric."""

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        raise ConnectionError("the server has gone")


class Closed(CSVLogger):
    """A logger that can't be opened."""

    @property
    def experiment(self) -> Any:
        raise ConnectionError("nobody answers")


def options(name: str) -> list[str]:
    own = ["logger._target_=lightning.pytorch.loggers.CSVLogger"] if name == "own" else []
    return [f"logger={name}", *own]


def scalars(name: str, folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what a logger holds of a run: steps and values by name."""
    if name == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        read = EventAccumulator(str(folder / "tensorboard"), {"scalars": 0, "images": 0}).Reload()
        return {tag: [(each.step, each.value) for each in read.Scalars(tag)] for tag in read.Tags()["scalars"]}
    if name == "mlflow":
        client, identity = mlflow_run(folder)
        names = client.get_run(identity).data.metrics
        return {key: [(one.step, one.value) for one in client.get_metric_history(identity, key)] for key in names}
    found: dict[str, list[tuple[int, float]]] = {}
    if name == "wandb":
        for row in WANDB_ROWS:
            for key, value in row.items():
                if isinstance(value, int | float) and key != "trainer/global_step":
                    found.setdefault(key, []).append((row.get("trainer/global_step", 0), value))
        return found
    (file,) = folder.glob("lightning_logs/*/metrics.csv")
    for row in csv.DictReader(file.open()):
        for key, value in row.items():
            if key != "step" and value:
                found.setdefault(key, []).append((int(row["step"]), float(value)))
    return found


def mlflow_run(folder: Path) -> tuple[Any, str]:
    from mlflow import MlflowClient

    client = MlflowClient((folder.parent.parent / "mlruns").resolve().as_uri())
    (experiment,) = [each for each in client.search_experiments() if each.name == folder.parent.name]
    (found,) = client.search_runs([experiment.experiment_id])
    return client, found.info.run_id


WANDB_ROWS: list[dict[str, Any]] = []


@pytest.fixture(autouse=True)
def told_to_wandb(monkeypatch):
    """Note what Weights & Biases is told, which then writes it in a form of its own."""
    WANDB_ROWS.clear()
    monkeypatch.setenv("WANDB_SILENT", "true")
    if optional.installed("wandb"):
        import wandb

        log = wandb.Run.log

        def note(self, data, *more, **named):
            WANDB_ROWS.append(dict(data))
            return log(self, data, *more, **named)

        monkeypatch.setattr(wandb.Run, "log", note)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_logger_has_the_names_and_values_of_metrics_csv(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*PLAIN, *options(name), "study=named")
    folder = only_run("named")
    recorded = record_of(folder)
    assert "left_out" not in recorded["training"]
    held = scalars(name, folder)
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for column in rows[0].keys() - {"epoch", "step"}:
        values = [value for _, value in held[column]]
        for row in rows:
            assert any(value == pytest.approx(float(row[column]), rel=1e-5) for value in values), column
    assert held["test/mIoU"][-1][1] == pytest.approx(recorded["metrics"]["test/mIoU"], rel=1e-5)
    assert recorded["loggers"].keys() == {"CSVLogger" if name == "own" else name}


def test_tensorboard_has_pictures_and_hyperparameters(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    monkeypatch.chdir(tmp_path)
    run(*PLAIN, "logger=tensorboard", "study=board", figures=True)
    read = EventAccumulator(str(only_run("board") / "tensorboard")).Reload()
    assert "figures/samples" in read.Tags()["images"]
    content = read.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    held = HParamsPluginData.FromString(content).session_start_info.hparams
    assert held["decoder"].string_value == "fcn"
    assert held["optimizer.lr"].number_value == 5e-4
    assert held["decoder.channels"].number_value == 16


@pytest.mark.parametrize("name", BUILT_IN[:1] + BUILT_IN[2:])
def test_a_resumed_run_goes_on_in_the_same_place(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write = pace.Pace.on_train_epoch_end

    def stop(self, trainer, module):
        write(self, trainer, module)
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

    overrides = (*PLAIN, "trainer.max_epochs=3", *options(name), "study=resumed")
    with monkeypatch.context() as patch:
        patch.setattr(pace.Pace, "on_train_epoch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            run(*overrides)
    folder = only_run("resumed")
    first = record_of(folder)["loggers"]
    run(*overrides)
    assert record_of(folder)["resumed"] == 1
    assert record_of(folder)["loggers"] == first
    steps = [step for step, _ in scalars(name, folder)["lr"]]
    assert len(set(steps)) == 3
    if name == "tensorboard":
        assert steps == sorted(set(steps))  # what the interrupted part wrote after its checkpoint is not shown twice
    if name == "wandb":
        assert len({file.name for file in folder.glob("wandb/offline-run-*/*.wandb")}) == 1


@pytest.mark.optional
@pytest.mark.skipif(not optional.installed("mlflow"), reason="needs mlflow")
def test_mlflow_keeps_parameters_pictures_and_how_a_run_ended(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*PLAIN, "logger=mlflow", "study=flow", figures=True)
    run(*PLAIN, "logger=mlflow", "study=other")
    client, identity = mlflow_run(only_run("flow"))
    kept = client.get_run(identity)
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == only_run("flow").name
    assert kept.data.params["backbone"] == "timm"
    assert kept.data.params["optimizer.lr"] == "0.0005"
    assert "figures/samples.png" in [file.path for file in client.list_artifacts(identity, "figures")]


@pytest.mark.optional
@pytest.mark.skipif(not optional.installed("wandb"), reason="needs wandb")
@pytest.mark.parametrize(("given", "mode"), [({}, "offline"), ({"WANDB_API_KEY": "0" * 40}, "online")])
def test_wandb_is_offline_unless_there_is_a_key(given, mode, tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    make = logger_maker({"_target_": "geocompose.training.loggers.wandb", "_partial_": True})
    (logger,) = make(LoggedRun(tmp_path / "s" / "r", "s", "0123456789-1", 0, {}))
    assert logger._wandb_init["mode"] == mode
    assert logger._wandb_init["id"] == "0123456789-1"


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_package_that_is_missing_is_answered_with_its_requirements_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(optional.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=f"logger={name} needs the package {name}.*pip install -r requirements-{name}"):
        run(*PLAIN, f"logger={name}")
    assert not Path("outputs").exists()


@pytest.mark.parametrize("target", ["collections.OrderedDict", "lightning.pytorch.callbacks.Timer", "math.sqrt"])
def test_a_target_that_is_no_logger_is_refused_before_anything_is_written(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="logger"):
        run(*PLAIN, "logger=own", f"logger._target_={target}")
    assert not Path("outputs").exists()


def test_a_logger_that_fails_is_left_out_and_the_run_is_complete(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    with caplog.at_level("WARNING", "geocompose"):
        run(*PLAIN, "logger=own", f"{OWN}Failing", "study=failing")
    recorded = record_of(only_run("failing"))
    assert recorded["status"] == "completed"
    assert recorded["metrics"]["test/mIoU"] > 0
    assert recorded["training"]["left_out"] == ["The logger Failing: ConnectionError: the server has gone"]
    assert caplog.text.count("The logger Failing failed") == 1


def test_a_logger_that_cannot_be_opened_stops_before_the_first_batch_and_another_one_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"logger can.t be opened: ConnectionError: nobody answers.*logger=csv"):
        run(*PLAIN, "logger=own", f"{OWN}Closed", "study=closed")
    folder = only_run("closed")
    assert record_of(folder)["status"] == "interrupted"
    assert not (folder / "metrics.csv").exists()
    run(*PLAIN, "logger=csv", "study=closed")  # the same run: the logger is no part of its identity
    assert record_of(only_run("closed"))["status"] == "completed"


def test_a_trained_run_is_scored_whatever_its_logger_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*PLAIN, "logger=csv", "study=scored", "action.test=false")
    run(*PLAIN, "logger=own", f"{OWN}Closed", "study=scored")
    recorded = record_of(only_run("scored"))
    assert recorded["status"] == "completed"
    assert "test/mIoU" in recorded["metrics"]
    assert any("The logger" in line for line in recorded["training"]["left_out"])


def test_loggers_are_imported_only_where_they_are_chosen():
    code = (
        "import sys, geocompose.training.computation; "
        "assert not {'wandb', 'mlflow'} & sys.modules.keys(), 'imported without being asked for'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
