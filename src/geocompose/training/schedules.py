"""Learning-rate schedules beside torch's own: several one after the other, one cycle, and steps."""

import inspect
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR, SequentialLR

from geocompose.errors import UserError, choices

# What torch's schedulers call their length.
_LENGTHS = ("T_max", "total_iters")


def sequence(
    optimizer: Optimizer, schedulers: list[Callable[..., LRScheduler]], milestones: list[int], num_epochs: int
) -> SequentialLR:
    """Return schedules that follow each other.

    schedulers: constructors that take the optimizer. One whose length (T_max, or total_iters) is not given lasts until
    the next begins, the last one until the end. milestones: the epochs in which the second and later ones begin.
    num_epochs: epochs in all.

    Raises:
        UserError: the milestones don't fit, or a scheduler has no such argument.
    """
    if len(schedulers) < 1 or len(milestones) != len(schedulers) - 1:
        raise UserError(
            f"scheduler.milestones says when each scheduler after the first begins: {max(0, len(schedulers) - 1)} "
            f"numbers for {len(schedulers)} schedulers; got {milestones}."
        )
    bounds = [0, *milestones, num_epochs]
    if any(later <= earlier for earlier, later in pairwise(bounds)):
        raise UserError(
            f"scheduler.milestones={milestones} have to rise, from 1 to below the number of epochs (trainer.max_epochs="
            f"{num_epochs})."
        )
    built = [
        _of_length(make, later - earlier, f"scheduler.schedulers[{place}]")(optimizer)
        for place, (make, (earlier, later)) in enumerate(zip(schedulers, pairwise(bounds), strict=True))
    ]
    return SequentialLR(optimizer, built, milestones=list(milestones))


def _of_length(make: Callable[..., LRScheduler], num_epochs: int, where: str) -> Callable[[Optimizer], LRScheduler]:
    """Return the constructor with its arguments checked, and the given length where it has none of its own."""
    keywords = dict(getattr(make, "keywords", {}))
    own = getattr(make, "func", make)
    known = list(inspect.signature(own).parameters)
    for key in keywords:
        if key not in known:
            raise UserError(f"{where}: {own.__name__} has no argument {key!r}. {choices(key, known[1:])}")
    for length in _LENGTHS:
        if length in known:
            keywords.setdefault(length, num_epochs)
    return lambda optimizer: own(optimizer, **keywords)


def multi_step(
    optimizer: Optimizer, total_steps: int, milestones: tuple[float, ...] = (0.6, 0.9), gamma: float = 0.1
) -> MultiStepLR:
    """Return a schedule whose rate falls at some shares of the run; a step a batch.

    total_steps: of the whole run. milestones: shares of them, each rounded down to whole steps, at which the rate is
    multiplied by `gamma`.

    Raises:
        UserError: the shares don't rise between 0 and 1.
    """
    bounds = [0.0, *milestones, 1.0]
    if any(later <= earlier for earlier, later in pairwise(bounds)):
        raise UserError(
            f"scheduler.milestones={list(milestones)} must be rising shares of the run, above 0 and below 1, such as "
            "[0.6,0.9]."
        )
    return MultiStepLR(optimizer, [int(share * total_steps) for share in milestones], gamma=gamma)


def one_cycle(
    optimizer: Optimizer,
    total_steps: int,
    pct_start: float = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 10000.0,
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    three_phase: bool = False,
) -> OneCycleLR:
    """Return torch's one-cycle schedule whose highest rates are the optimizer's own, part by part; a step a batch.

    total_steps: of the whole run. pct_start: share of them in which the rate rises.

    Raises:
        UserError: the rise would take no step.
    """
    if not 1 < pct_start * total_steps < total_steps:
        raise UserError(
            f"scheduler.pct_start={pct_start} of {total_steps} steps has to be more than one step and not all of them. "
            "Change it, or train longer."
        )
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total_steps,
        pct_start=pct_start,
        anneal_strategy=anneal_strategy,
        cycle_momentum=cycle_momentum,
        base_momentum=base_momentum,
        max_momentum=max_momentum,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        three_phase=three_phase,
    )
