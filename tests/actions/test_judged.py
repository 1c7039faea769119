"""How a search judges fitted runs: as their tasks choose the best epoch."""

import importlib
import inspect

import pytest

from geocompose.actions.judged import BETTER, judged
from geocompose.errors import UserError
from geocompose.launchers.runs import Judged
from geocompose.tasks.base import Task
from tests.kit.command import composed_config
from tests.kit.places import CONF


def test_every_task_of_conf_is_judged_as_it_chooses_its_best_epoch():
    tasks = [composed_config(f"task={path.stem}")["task"]["_target_"] for path in (CONF / "task").glob("*.yaml")]
    assert set(tasks) == set(BETTER)
    for target in tasks:
        module, _, name = target.rpartition(".")
        task = getattr(importlib.import_module(module), name)
        assert issubclass(task, Task)
        assert not inspect.isabstract(task)
        assert {"max": "higher", "min": "lower"}[task.selection[1]] == BETTER[target]


def test_epochs_in_which_a_backbone_is_frozen_are_known():
    assert judged(composed_config("trainer.max_epochs=10")) == Judged("higher", 10)
    assert judged(composed_config("trainer.max_epochs=10", "peft=lp_ft", "trainer.check_val_every_n_epoch=2")) == (
        Judged("higher", 10, every=2, frozen=2)
    )


def test_a_task_of_ones_own_is_refused():
    with pytest.raises(UserError, match="choose one of conf/task"):
        judged({"task": {"_target_": "my_lab.Task"}})
