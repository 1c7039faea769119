"""A run that a search follows: stopped at an epoch's end, it goes on as if nobody had stopped it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch

from geocompose import cli
from geocompose.errors import UserError
from geocompose.runs.watching import Stop
from tests.kit.command import SMALL, only_run, record_of, run

LONG = (*SMALL, "trainer.max_epochs=4", "trainer.keep=[best,last]", "action.test=false")


@dataclass
class StopAt:
    """Stops a run after an epoch. seen: what it was told."""

    epochs: int
    seen: dict[int, list[int]] = field(default_factory=dict)

    def look(self, epochs: int, values: Mapping[int, float]) -> Stop | None:
        self.seen[epochs] = sorted(values)
        return Stop("x", "pruned", epochs, "pruned by search x") if epochs >= self.epochs else None


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Callable[..., None]:
    """Return a function that computes a run which a watch follows."""
    monkeypatch.chdir(tmp_path)
    understood = cli.understood

    def call(watch: StopAt, *overrides: str) -> None:
        def followed(*arguments):
            experiment, action = understood(*arguments)
            return replace(experiment, watch=watch), action

        with monkeypatch.context() as patch:
            patch.setattr(cli, "understood", followed)
            run(*overrides)

    return call


def last(study: str) -> dict:
    return torch.load(only_run(study) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_a_stopped_run_has_its_checkpoint_and_resumes_bit_for_bit(watched):
    watch = StopAt(2)
    watched(watch, *LONG, "study=stopped")
    record = record_of(only_run("stopped"))
    assert (record["status"], record["error"]) == ("interrupted", "pruned by search x")
    assert record["stopped_by"] == {"search": "x", "how": "pruned", "epochs": 2, "reason": "pruned by search x"}
    assert record["metrics"] == {}
    assert record["training"]["epochs"] == 2
    assert watch.seen == {1: [1], 2: [1, 2]}
    watched(again := StopAt(2), *LONG, "study=stopped")  # a process that died before it was told so
    assert again.seen == {2: [1, 2]}
    assert len(record_of(only_run("stopped"))["epochs"]["seconds"]) == 2
    run(*LONG, "study=stopped")
    run(*LONG, "study=undisturbed")
    record = record_of(only_run("stopped"))
    assert (record["status"], record["stopped_by"], record["resumed"]) == ("completed", {}, 2)
    assert record["metrics"] == record_of(only_run("undisturbed"))["metrics"]
    assert all(torch.equal(weight, last("undisturbed")[name]) for name, weight in last("stopped").items())


def test_a_run_is_not_judged_while_its_backbone_is_frozen_nor_at_its_end(watched):
    watch = StopAt(99)
    watched(watch, *LONG, "study=phases", "peft=lp_ft", "peft.head_share=0.5", "optimizer.lr=0.01")
    assert watch.seen == {3: [1, 2, 3]}


def test_a_run_of_several_processes_can_not_be_followed(watched):
    with pytest.raises(UserError, match=r"search\.pruner=none"):
        watched(StopAt(1), *LONG, "trainer=ddp", "trainer.devices=2")
