"""Losses of a user's own or of a library, by `_target_`: `task.loss={_target_: my_lab.Boundary, width: 3}`."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.errors import UserError, first_line

# Where a sum has a loss of one's own: {ce: 0.5, boundary: {weight: 0.5, own: a partial}}.
OWN = "own"
EXAMPLE_PX = 32  # height and width of the example that a loss is tried on


def left_open(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's configuration whose own losses are left to the task, which gives them what data and task know.

    A loss of its own becomes a partial, and one in a sum a partial under `own` beside its weight.
    """
    loss = task.get("loss")
    if not isinstance(loss, Mapping):
        return dict(task)
    if "_target_" in loss:
        return {**task, "loss": {**loss, "_partial_": True}}
    opened = {name: _opened(value) for name, value in loss.items()}
    return {**task, "loss": opened}


def _opened(value: Any) -> Any:
    if not isinstance(value, Mapping) or "_target_" not in value:
        return value
    own = {key: inner for key, inner in value.items() if key != "weight"} | {"_partial_": True}
    return {OWN: own, **({"weight": value["weight"]} if "weight" in value else {})}


@dataclass(frozen=True)
class Surroundings:
    """What a task knows that a loss of one's own may need.

    known: arguments that a constructor gets if it has them and the user gave none, by name. example: an output and
    labels, as a batch has them. labelled: returns where labels are known. prepared: turns an output and labels into
    what the loss is given.
    """

    known: Mapping[str, object]
    example: tuple[Tensor, Tensor]
    labelled: Callable[[Tensor], Tensor]
    prepared: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = lambda output, labels: (output.float(), labels)


class OwnLoss(nn.Module):
    """A loss of a user's own; a batch without any label costs 0, and what it is given is float32."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor], around: Surroundings) -> None:
        super().__init__()
        self.loss, self.around = loss, around

    def forward(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar."""
        if not self.around.labelled(labels).any():
            return output.float().sum() * 0
        return self.loss(*self.around.prepared(output, labels))


def takes(constructor: Callable[..., Any], name: str) -> bool:
    """Return whether a loss of one's own has an argument of this name."""
    return name in inspect.signature(constructor).parameters


def own_loss(constructor: partial[Any], around: Surroundings) -> nn.Module:
    """Return a loss of one's own, tried on an example; a function is called with an output and labels as it is.

    Raises:
        UserError: it can't be built or computed, has parameters (no optimizer gets them), or returns no single number
            with a gradient.
    """
    name = f"{constructor.func.__module__}.{constructor.func.__qualname__}"
    loss: Callable[[Tensor, Tensor], Tensor] = constructor
    if inspect.isclass(constructor.func):
        more = {
            key: value
            for key, value in around.known.items()
            if key not in constructor.keywords and takes(constructor, key)
        }
        try:
            loss = constructor(**more)
        except Exception as error:  # whatever a stranger's constructor raises
            raise UserError(f"task.loss: {name} can't be built: {_in_words(error)}") from error
    if isinstance(loss, nn.Module) and any(parameter.requires_grad for parameter in loss.parameters()):
        raise UserError(
            f"task.loss: {name} has parameters that would learn, and no optimizer gets those of a loss. Put them into "
            "the model, or freeze them (requires_grad_(False))."
        )
    if not callable(loss):
        raise UserError(f"task.loss: {name} is no loss: it can't be called with an output and labels.")
    own = OwnLoss(loss, around)
    _try(own, name)
    return own


def _try(loss: OwnLoss, name: str) -> None:
    output, labels = loss.around.example
    output = output.clone().requires_grad_()
    of = f"of an output {tuple(output.shape)} and labels {tuple(labels.shape)}"
    try:
        with torch.enable_grad():
            cost = loss(output, labels)
    except Exception as error:  # whatever a stranger's loss raises
        raise UserError(f"task.loss: {name} can't be computed {of}: {_in_words(error)}") from error
    if not isinstance(cost, Tensor) or cost.ndim or not cost.requires_grad:
        what = f"a tensor {tuple(cost.shape)}" if isinstance(cost, Tensor) else type(cost).__name__
        grad = " without a gradient" if isinstance(cost, Tensor) and not cost.requires_grad else ""
        raise UserError(f"task.loss: {name} must return one number with a gradient; {of} it returned {what}{grad}.")


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
