"""How Lightning is to step each kind of learning-rate schedule."""

import inspect
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from geocompose.errors import UserError

MakeScheduler = Callable[..., LRScheduler | ReduceLROnPlateau]


def lightning_schedule(
    make: MakeScheduler, optimizer: Optimizer, selection: tuple[str, str], *, num_steps: int, validation_every: int
) -> dict[str, Any]:
    """Return a scheduler as Lightning is to step it: after each epoch, each step, or each validation.

    make: takes the optimizer; one with an argument `total_steps` that is not given yet gets num_steps and is stepped
    after each of them, ReduceLROnPlateau gets the mode of the selection metric (its name and `max` or `min`) that it
    watches.

    Raises:
        UserError: a plateau of the wrong mode.
    """
    given, own = getattr(make, "keywords", {}), getattr(make, "func", make)
    metric, mode = selection
    more: dict[str, Any] = {}
    by_step = "total_steps" in inspect.signature(own).parameters
    if by_step and given.get("total_steps") is None:
        more["total_steps"] = num_steps
    if own is ReduceLROnPlateau and "mode" not in given:
        more["mode"] = mode
    scheduler = make(optimizer, **more)
    if not isinstance(scheduler, ReduceLROnPlateau):
        by_step = by_step or isinstance(scheduler, OneCycleLR | CyclicLR)
        return {"scheduler": scheduler, "interval": "step" if by_step else "epoch"}
    if scheduler.mode != mode:
        raise UserError(
            f"scheduler.mode={scheduler.mode} would lower the rate while {metric} improves, which is the better the "
            f"{'higher' if mode == 'max' else 'lower'} it is. Leave the mode out: it follows the task."
        )
    # It needs a validation's metric.
    return {"scheduler": scheduler, "interval": "epoch", "monitor": metric, "frequency": validation_every}
