"""Learning-rate schedules: every option steps as it says, per epoch or step, and a resumed run goes on where it was."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CyclicLR,
    LinearLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    StepLR,
)

from geocompose.errors import UserError
from geocompose.tasks.schedule import lightning_schedule
from geocompose.training.schedules import multi_step, one_cycle, sequence
from tests.kit.tiny_tasks import loader, samples, task, trainer

LR = 0.03
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*",
    "ignore:.*number of training batches.*",
    "ignore:.*logger.*",
    "ignore:.*LeafSpec.*",
    "ignore:.*lr_scheduler.step.*",
    "ignore:.*Checkpoint directory.*",
)
WARMUP = partial(
    sequence, schedulers=[partial(LinearLR, start_factor=0.1), partial(CosineAnnealingLR)], milestones=[3], num_epochs=8
)


class Rates(Callback):
    """Notes the rate of every step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def rates(scheduler: Any, epochs: int = 8, kind: str = "segmentation", **settings: Any) -> list[float]:
    """Return the rate of every step of a real fit with two steps an epoch."""
    noted = Rates()
    fit = trainer(epochs, callbacks=[noted], **settings)
    fit.fit(task(kind, scheduler=scheduler), loader(samples(kind, 8), 4), loader(samples(kind, 5), 5))
    return noted.seen


def by_epoch(factors: list[float]) -> list[float]:
    return [LR * factor for factor in factors for _ in range(2)]


def cosine(epoch: int, epochs: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * epoch / epochs))


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize(
    ("scheduler", "factors"),
    [
        (partial(ConstantLR, factor=1.0, total_iters=1), [1.0] * 8),
        (partial(CosineAnnealingLR, T_max=8), [cosine(epoch, 8) for epoch in range(8)]),
        (partial(StepLR, step_size=3, gamma=0.1), [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]),
        (partial(PolynomialLR, total_iters=8, power=0.9), [(1 - epoch / 8) ** 0.9 for epoch in range(8)]),
        (WARMUP, [0.1, 0.4, 0.7, *(cosine(epoch, 5) for epoch in range(5))]),
    ],
)
def test_a_schedule_by_epochs_steps_once_an_epoch(scheduler, factors, every):
    assert rates(scheduler, check_val_every_n_epoch=every) == pytest.approx(by_epoch(factors))


@pytest.mark.parametrize("every", [1, 3])
def test_one_cycle_steps_with_every_batch_and_ends_with_the_run(every):
    scheduler = partial(one_cycle, pct_start=0.25, div_factor=10.0, final_div_factor=100.0)
    seen = rates(scheduler, check_val_every_n_epoch=every)
    reference = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR, momentum=0.9)
    theirs = OneCycleLR(reference, LR, total_steps=16, pct_start=0.25, div_factor=10.0, final_div_factor=100.0)
    expected = []
    for _ in range(16):
        expected.append(reference.param_groups[0]["lr"])
        reference.step()
        theirs.step()
    assert seen == pytest.approx(expected)
    assert max(seen) == pytest.approx(LR)
    assert seen[-1] < seen[0] < LR


def test_one_cycle_counts_the_steps_of_accumulated_batches():
    seen = rates(partial(one_cycle, pct_start=0.5), accumulate_grad_batches=2)
    assert max(seen) == pytest.approx(LR)
    assert len(set(seen)) == 8


def test_torchs_own_schedules_by_steps_step_with_every_batch_too():
    assert len(set(rates(partial(OneCycleLR, max_lr=LR)))) == 16
    assert len(set(rates(partial(CyclicLR, base_lr=0.001, max_lr=0.03, step_size_up=20, cycle_momentum=False)))) == 16


@pytest.mark.parametrize(
    "changes",
    [
        {"anneal_strategy": "linear"},
        {"three_phase": True},
        {"cycle_momentum": False},
        {"base_momentum": 0.8, "max_momentum": 0.9},
    ],
)
def test_one_cycle_is_torchs_whatever_its_arguments(changes):
    ours, theirs = (AdamW([nn.Parameter(torch.zeros(1))], lr=LR) for _ in range(2))
    built = one_cycle(ours, 20, **changes), OneCycleLR(theirs, LR, total_steps=20, **changes)
    for _ in range(20):
        pairs = [(group["lr"], group["betas"]) for optimizer in (ours, theirs) for group in optimizer.param_groups]
        assert pairs[0] == pairs[1]
        for optimizer, scheduler in zip((ours, theirs), built, strict=True):
            optimizer.step()
            scheduler.step()


def test_one_cycle_keeps_the_rates_of_parts_apart():
    learner = task(scheduler=partial(one_cycle), lr_by_part={"backbone": 0.003})
    rest, backbone = learner.optimization(100, 1)["optimizer"].param_groups
    assert rest["max_lr"] == pytest.approx(10 * backbone["max_lr"])
    assert rest["lr"] == pytest.approx(10 * backbone["lr"])


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("kind", ["segmentation", "regression", "multilabel"])
def test_plateau_follows_the_selection_metric_of_the_task_up_or_down(kind, every):
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    made = task(kind, optimizer=lambda _: optimizer, scheduler=partial(ReduceLROnPlateau, patience=0, factor=0.5))
    schedule = made.optimization(10, every)["lr_scheduler"]
    assert (schedule["monitor"], schedule["scheduler"].mode) == made.selection
    assert schedule["frequency"] == every
    better = [1.0, 2.0, 3.0] if made.selection[1] == "max" else [3.0, 2.0, 1.0]
    for value in better:
        schedule["scheduler"].step(value)
    assert optimizer.param_groups[0]["lr"] == 1.0
    schedule["scheduler"].step(better[0])
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize("every", [1, 2])
def test_plateau_lowers_the_rate_after_validations_that_are_no_better(every):
    # A threshold that no metric of a fit exceeds: every validation after the first is no better.
    scheduler = partial(ReduceLROnPlateau, factor=0.5, patience=0, threshold=1e9, threshold_mode="abs")
    seen = rates(scheduler, epochs=6, kind="regression", check_val_every_n_epoch=every)[::2]
    lowered = [LR * 0.5 ** max(0, epoch // every - 1) for epoch in range(6)]
    assert seen == pytest.approx(lowered)


@pytest.mark.parametrize(("kind", "wrong"), [("segmentation", "min"), ("regression", "max")])
def test_a_plateau_of_the_wrong_mode_is_refused(kind, wrong):
    learner = task(kind, scheduler=partial(ReduceLROnPlateau, mode=wrong))
    with pytest.raises(UserError, match=f"scheduler.mode={wrong} would lower the rate while val/.*follows the task"):
        learner.optimization(10, 1)
    right = "max" if wrong == "min" else "min"
    task(kind, scheduler=partial(ReduceLROnPlateau, mode=right)).optimization(10, 1)
    with pytest.raises(UserError, match=r"scheduler\.mode=min would lower"):
        task(scheduler=lambda optimizer: ReduceLROnPlateau(optimizer)).optimization(10, 1)


@pytest.mark.parametrize(
    "scheduler",
    [
        partial(CosineAnnealingLR, T_max=6),
        partial(one_cycle, pct_start=0.4),
        partial(sequence, schedulers=[LinearLR, CosineAnnealingLR], milestones=[2], num_epochs=6),
        partial(ReduceLROnPlateau, factor=0.5, patience=0, threshold=1e9, threshold_mode="abs"),
        partial(StepLR, step_size=2),
        partial(PolynomialLR, total_iters=6),
    ],
)
def test_a_resumed_run_goes_on_with_the_rates_of_an_undisturbed_one(scheduler, tmp_path: Path):
    undisturbed = rates(scheduler, epochs=6)
    data = loader(samples("segmentation", 8), 4), loader(samples("segmentation", 5), 5)

    class Stop(Callback):
        def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
            if trainer.current_epoch == 2:
                trainer.should_stop = True

    noted = Rates()
    first = trainer(6, callbacks=[noted, Stop()], default_root_dir=tmp_path)
    first.fit(task(scheduler=scheduler), *data)
    first.save_checkpoint(tmp_path / "last.ckpt")
    second = trainer(6, callbacks=[noted], default_root_dir=tmp_path)
    second.fit(task(scheduler=scheduler), *data, ckpt_path=tmp_path / "last.ckpt", weights_only=False)
    assert noted.seen == pytest.approx(undisturbed)


def test_a_sequence_fills_in_the_lengths_that_are_not_given():
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    built = sequence(
        optimizer, [LinearLR, partial(ConstantLR, factor=1.0), partial(CosineAnnealingLR, T_max=99)], [2, 5], 9
    )
    assert [getattr(part, "total_iters", None) or part.T_max for part in built._schedulers] == [2, 3, 99]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"milestones": []}, r"milestones says when each scheduler after the first begins: 1 numbers for 2.*got \[\]"),
        ({"milestones": [3], "schedulers": [LinearLR]}, "0 numbers for 1 schedulers"),
        ({"milestones": [8]}, r"milestones=\[8\] have to rise, from 1 to below.*max_epochs=8"),
        ({"milestones": [0]}, r"milestones=\[0\] have to rise"),
        (
            {"schedulers": [LinearLR, partial(CosineAnnealingLR, eta_mim=1.0)]},
            r"schedulers\[1\]: CosineAnnealingLR has no argument 'eta_mim'. Did you mean 'eta_min'",
        ),
    ],
)
def test_a_sequence_that_cannot_be_is_refused(changes, message):
    arguments = {"schedulers": [LinearLR, CosineAnnealingLR], "milestones": [3], "num_epochs": 8, **changes}
    with pytest.raises(UserError, match=message):
        sequence(SGD([nn.Parameter(torch.zeros(1))], lr=1.0), **arguments)


@pytest.mark.parametrize(("pct_start", "steps"), [(0.1, 10), (0.3, 2), (1.0, 100), (0.0, 100)])
def test_a_cycle_without_room_to_rise_is_refused(pct_start, steps):
    with pytest.raises(UserError, match=f"pct_start={pct_start} of {steps} steps has to be more than one step"):
        one_cycle(AdamW([nn.Parameter(torch.zeros(1))]), steps, pct_start=pct_start)


def test_a_plateau_in_a_sequence_is_refused_by_torch():
    with pytest.raises(ValueError, match="ReduceLROnPlateau"):
        lightning_schedule(
            partial(sequence, schedulers=[LinearLR, ReduceLROnPlateau], milestones=[2], num_epochs=8),
            SGD([nn.Parameter(torch.zeros(1))], lr=1.0), ("val/mIoU", "max"), num_steps=9, validation_every=1,
        )  # fmt: skip


def test_multi_step_falls_at_its_shares_of_the_runs_steps():
    tenth = pytest.approx(0.1 * LR)
    seen = rates(partial(multi_step, milestones=(0.5, 0.9)), epochs=5)
    assert seen[:5] == [LR] * 5
    assert seen[5:9] == [tenth] * 4
    assert seen[9:] == [pytest.approx(0.01 * LR)]


@pytest.mark.parametrize("milestones", [(0.9, 0.6), (0.0, 0.5), (0.5, 1.0), (60, 90)])
def test_shares_that_do_not_rise_within_the_run_are_refused(milestones):
    with pytest.raises(UserError, match=r"scheduler\.milestones=.* must be rising shares of the run"):
        multi_step(SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR), 100, milestones)
