"""A backbone that is frozen for the first epochs: two phases, their rates, and resumed runs."""

import re

import pytest
import torch
from torch import nn

from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.models.freezing import Thaw
from geocompose.models.frozen_weights import FrozenWeights
from geocompose.peft.lp_ft import LpFt
from geocompose.runs.epoch_rows import read_metrics
from geocompose.training.processes import Processes
from geocompose.training.thawing import thawing
from tests.actions.test_fit import undisturbed_and_resumed
from tests.kit.adapted import build, image, learning
from tests.kit.command import SMALL, only_run, record_of, run

LP_FT = (*SMALL, "peft=lp_ft", "trainer.max_epochs=4", "trainer.keep=[best,last]", "optimizer.lr=0.01")


def last(study):
    return torch.load(only_run(study) / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.mark.parametrize(
    ("share", "epochs", "first"), [(0.2, 10, 2), (0.2, 2, 1), (0.2, 5, 1), (0.9, 3, 2), (0.5, 4, 2), (0.01, 100, 1)]
)
def test_each_phase_has_an_epoch(share, epochs, first):
    assert Thaw((), share, 0.1).first_epoch(epochs) == first


def test_the_backbone_stands_still_until_it_is_thawed():
    model = build("test_resnet", LpFt()).train()
    assert not learning(model.encoder)
    assert not model.encoder.training
    model.thaw_encoder()
    assert learning(model.encoder) == learning(build("test_resnet").encoder)
    assert model.encoder.training
    model(image()).output.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.encoder.parameters())


def test_what_no_output_depends_on_is_not_thawed():
    class HalfUsed(nn.Module):
        in_chans, out_channels = 6, [8]

        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Conv2d(6, 8, 1), nn.Conv2d(6, 8, 1)

        def forward(self, given):
            return [self.used(given)]

    factory = EncoderDecoderFactory((64, 64))
    model = factory.build_model("segmentation", HalfUsed(), "FCNDecoder", num_classes=2, peft_config=LpFt())
    model.thaw_encoder()
    assert learning(model.encoder) == {"used.weight", "used.bias"}


def test_no_checkpoint_leaves_out_what_learns_later():
    assert FrozenWeights.of(build("test_resnet", LpFt())).parameters == 0


def test_a_run_has_both_phases_and_resumes_in_each_as_if_undisturbed(tmp_path, monkeypatch):
    for place, share in (("first", 0.75), ("second", 0.25)):  # interrupted after the second epoch of four
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        undisturbed_and_resumed(monkeypatch, [*LP_FT, f"peft.head_share={share}", "scheduler=cosine"])
        one, other = last("undisturbed"), last("stopped")
        assert all(torch.equal(value, other["state_dict"][name]) for name, value in one["state_dict"].items())
        states = [each["optimizer_states"][0]["state"] for each in (one, other)]
        assert states[0].keys() == states[1].keys()
        for key, slots in states[0].items():
            assert all(torch.equal(value, states[1][key][name]) for name, value in slots.items())
        assert record_of(only_run("stopped"))["metrics"] == record_of(only_run("undisturbed"))["metrics"]
    record = record_of(only_run("undisturbed"))
    assert record["model"]["trainable"] == record["model"]["parameters"]
    told = "peft=lp_ft: the backbone is frozen for the first 1 epoch of 4, then all learns at 0.1 of the rate."
    assert any(told in said for said in record["said"])


def test_rates_are_a_tenth_afterwards_whatever_the_schedule(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*LP_FT, "peft.head_share=0.5", "scheduler=none", "study=phases")
    rows = read_metrics(only_run("phases") / "metrics.csv")
    assert [row["lr"] for row in rows] == pytest.approx([0.01, 0.01, 0.001, 0.001])
    assert last("phases")["optimizer_states"][0]["param_groups"][0]["lr"] == 0.01
    steps = {int(slots["step"]) for slots in last("phases")["optimizer_states"][0]["state"].values()}
    assert len(steps) == 2
    assert max(steps) == 2 * min(steps)


REFUSED = [
    ("trainer.max_epochs=1", r"two phases, so that trainer\.max_epochs must be 2 or more; got 1"),
    ("peft.head_share=0", r"peft\.head_share must be between 0 and 1"),
    ("peft.factor=0", r"peft\.factor must be above 0 and at most 1"),
    ("task.freeze_backbone=true", r"task\.freeze_backbone=true would not\. Use peft=frozen"),
]


@pytest.mark.parametrize(("line", "message"), REFUSED)
def test_what_cannot_be_is_refused(line, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run(*LP_FT, line)


def test_several_processes_are_refused():
    with pytest.raises(UserError, match=re.escape("use trainer=default, one process; got 2")):
        thawing(build("test_resnet", LpFt()), 10, Processes(0, 2, 0, 2))
