"""Optimizer and schedule tried on stand-ins before a run, so that what can't be stops here and not after an epoch."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from geocompose.arguments import as_written
from geocompose.errors import UserError
from geocompose.tasks.schedule import MakeScheduler, lightning_schedule

_MOST_STEPS = 1000
# What a rate may be below 0 by rounding.
_ROUNDING = 1e-12


def rehearse(
    groups: Sequence[Mapping[str, Any]],
    make_optimizer: Callable[[list[dict[str, Any]]], Optimizer],
    make_scheduler: MakeScheduler,
    selection: tuple[str, str],
    config: Mapping[str, Any],
    *,
    num_steps: int,
    num_epochs: int,
    validation_every: int,
) -> None:
    """Take a run's first steps (of 1000 at most) with one small parameter in place of each group's; change nothing.

    groups: as the optimizer gets them. selection: the metric that a plateau watches, and `max` or `min`.
    config: the run's, of which `optimizer` and `scheduler` are named in errors. num_steps, num_epochs: of the whole
        run.

    Raises:
        UserError: the optimizer or the schedule can't be built or stepped, a rate isn't 0 or more, or all are 0.
    """
    stand_ins = [
        {**group, "params": [torch.nn.Parameter(torch.zeros((1,) * group["params"][0].ndim))]} for group in groups
    ]
    with _told_as("optimizer", config):
        optimizer = make_optimizer(stand_ins)
    with _told_as("scheduler", config):
        schedule = lightning_schedule(
            make_scheduler, optimizer, selection, num_steps=num_steps, validation_every=validation_every
        )
    scheduler, by_step = schedule["scheduler"], schedule["interval"] == "step"
    highest = 0.0
    for step in range(min(num_steps if by_step else num_epochs, _MOST_STEPS)):
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        wrong = [rate for rate in rates if not -_ROUNDING <= rate < float("inf")]
        if wrong:
            when = f"{'step' if by_step else 'epoch'} {step}"
            raise UserError(f"{_given('scheduler', config)}: the learning rate would be {wrong[0]:g} in {when}.")
        highest = max(highest, *rates)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.ones_like(parameter)
        with _told_as("optimizer", config):
            optimizer.step()
        # A schedule of its own kind may warn at each step; it will in training too.
        with _told_as("scheduler", config), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.step(0.5) if isinstance(scheduler, ReduceLROnPlateau) else scheduler.step()
    if highest <= 0:
        raise UserError(
            f"Nothing would learn: every learning rate is 0 from the first to the last step (optimizer.lr="
            f"{as_written(config['optimizer'].get('lr'))}). Set optimizer.lr, or task.lr_by_part of a part, above 0."
        )


@contextmanager
def _told_as(group: str, config: Mapping[str, Any]) -> Iterator[None]:
    """Say of an error of torch's what it is about and what was given."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, TypeError, ArithmeticError) as error:
        kind = f"{type(error).__name__}: " if isinstance(error, ArithmeticError) else ""
        raise UserError(f"{_given(group, config)} can't be: {kind}{error}") from error


def _given(group: str, config: Mapping[str, Any]) -> str:
    """Return a group's class and keys as one could write them."""
    node = config[group]
    name = str(node["_target_"]).rpartition(".")[2]
    keys = [f"{group}.{key}={as_written(value)}" for key, value in node.items() if not key.startswith("_")]
    return f"{group} ({', '.join([name, *keys])})"
