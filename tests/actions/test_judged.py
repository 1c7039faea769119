"""How a search judges fitted runs: as their tasks choose the best epoch."""

import importlib
import inspect
import sys

import pytest

from geocompose.actions.judged import METRICS, judged
from geocompose.cli import main
from geocompose.errors import UserError
from geocompose.launchers.runs import Judged
from geocompose.scores import better
from geocompose.tasks.base import Task
from tests.kit.command import composed_config
from tests.kit.places import CONF


def test_every_task_of_conf_is_judged_as_it_chooses_its_best_epoch():
    tasks = [composed_config(f"task={path.stem}")["task"]["_target_"] for path in (CONF / "task").glob("*.yaml")]
    assert set(tasks) == set(METRICS)
    for target in tasks:
        module, _, name = target.rpartition(".")
        task = getattr(importlib.import_module(module), name)
        assert issubclass(task, Task)
        assert not inspect.isabstract(task)
        metric, mode = task.selection
        assert METRICS[target] == metric
        assert better(metric) == {"max": "higher", "min": "lower"}[mode]


def test_epochs_in_which_a_backbone_is_frozen_are_known():
    assert judged(composed_config("trainer.max_epochs=10")) == Judged("val/mIoU", "higher", 10)
    assert judged(composed_config("trainer.max_epochs=10", "peft=lp_ft", "trainer.check_val_every_n_epoch=2")) == (
        Judged("val/mIoU", "higher", 10, every=2, frozen=2)
    )


@pytest.mark.parametrize(
    ("override", "metric", "direction"),
    [
        ("task.select_by=loss", "val/loss", "lower"),
        ("task.select_by=mIoU_all", "val/mIoU_all", "higher"),
        ("protocol=peft_paper", "val/loss", "lower"),
        ("protocol=pangaea", "val/mIoU_all", "higher"),
    ],
)
def test_runs_are_judged_by_what_task_select_by_says(override, metric, direction):
    found = judged(composed_config(override))
    assert (found.metric, found.better) == (metric, direction)


def test_several_variables_are_judged_by_their_error_in_deviations():
    files = ("task=regression", "data=geotiff_regression", "data.root=.", "data.images=x", "data.labels=y")
    assert judged(composed_config(*files, "data.variables=[height]")).metric == "val/RMSE"
    assert judged(composed_config(*files, "data.variables=[height,cover]")).metric == "val/nRMSE"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["task.select_by=null,loss"], "would be judged by val/loss, others of the search by val/mIoU"),
        (["task.select_by=loss", "task.loss=ce,dice"], "measures something else with another task.loss"),
        (["task=reconstruction", "task.mask_ratio=0.5,0.75"], "measures something else with another task.mask_ratio"),
    ],
)
def test_a_search_of_runs_that_are_judged_differently_is_refused(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "-m", "search=grid", *arguments])
    with pytest.raises(SystemExit):
        main(CONF)
    assert says in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


def test_a_metric_that_there_is_not_is_refused():
    with pytest.raises(UserError, match=r"task\.select_by has no 'sharpness'"):
        judged(composed_config("task.select_by=sharpness"))


def test_a_task_of_ones_own_is_refused():
    with pytest.raises(UserError, match="choose one of conf/task"):
        judged({"task": {"_target_": "my_lab.Task"}, "data": {}, "trainer": {}, "peft": {}})
