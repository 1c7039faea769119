"""The moving average of the weights follows min(decay, (1 + t) / (10 + t))."""

import math

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from geocompose.training.averaging import WarmedAverage, decay_at, kept_of_start
from tests.kit.command import SMALL, only_run, record_of, run


class Counted(nn.Module):
    """One weight, and a counter as batch normalisation has one."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("seen", torch.tensor(0))


def test_the_average_is_what_the_formula_says():
    model, callback = Counted(), WarmedAverage(0.3)
    averaged = AveragedModel(model, multi_avg_fn=callback._kwargs["multi_avg_fn"], use_buffers=True)
    expected = None
    for step, value in enumerate([2.0, -1.0, 5.0, 0.5, 7.0, 3.0]):
        with torch.no_grad():
            model.weight.fill_(value)
            model.seen.fill_(step)
        averaged.update_parameters(model)
        keep = min(0.3, (1 + step) / (10 + step))
        expected = value if expected is None else keep * expected + (1 - keep) * value
        assert float(averaged.module.weight.detach()) == pytest.approx(expected)
        assert int(averaged.module.seen) == step
    assert decay_at(1, 0.3) == 2 / 11
    assert decay_at(5, 0.3) == 0.3


@pytest.mark.parametrize(("decay", "steps"), [(0.999, 2), (0.999, 48), (0.9999, 500), (0.5, 7)])
def test_what_is_kept_of_the_start_is_the_product(decay, steps):
    kept = math.prod(min(decay, (1 + t) / (10 + t)) for t in range(1, steps))
    assert kept_of_start(decay, steps) == pytest.approx(kept)
    assert steps < 3 or kept < 0.05 < decay**steps or decay == 0.5


def test_a_short_run_that_keeps_its_start_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "trainer.max_epochs=1", "trainer.ema_decay=0.999", "study=short")
    record = record_of(only_run("short"))
    assert record["training"]["steps"] == 2
    said = "trainer.ema_decay=0.999 would keep 18 % of the first step's weights at the end of 2 steps"
    assert any(line.startswith(said) for line in record["said"])
    run(*SMALL, "trainer.max_epochs=3", "trainer.ema_decay=0.999", "study=longer")
    assert not any("ema_decay" in line for line in record_of(only_run("longer"))["said"])
