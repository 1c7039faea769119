"""From what a configuration calls a loss to a module: one loss, or the sum of several, each with its own arguments."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.arguments import plain
from geocompose.errors import UserError, choices
from geocompose.tasks.own_losses import OWN, Surroundings, own_loss, takes

# What a task's argument `loss` may be, in the words of its configuration; a loss of one's own is a partial.
LossSpec = str | list[str] | dict[str, float | dict[str, Any]] | partial[Any]


class WeightedSum(nn.Module):
    """Several losses, each times its weight."""

    def __init__(self, losses: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.losses = nn.ModuleDict(dict(losses))
        self.weights = dict(weights)

    def forward(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar for whatever the losses take."""
        return torch.stack([self.weights[name] * loss(output, labels) for name, loss in self.losses.items()]).sum()


def build_loss(spec: LossSpec, losses: Mapping[str, Callable[..., nn.Module]], around: Surroundings) -> nn.Module:
    """Return the loss that `spec` names among `losses`, constructors that take a loss's own arguments.

    spec: a name, such as ce; names that are added up, [ce, dice]; or their weights, {ce: 0.5, dice: 0.5}. In place of a
    weight stand a loss's own arguments: {tversky: {weight: 0.5, alpha: 0.3, beta: 0.7}}; its weight is 1 without one.
    A loss of one's own is a partial, or in a sum {name: {own: partial, weight: 0.5}} (see `left_open`). around: what
    the task tells it.

    Raises:
        UserError: an unknown loss or argument, or a weight that is not positive.
    """
    weights, arguments = _read(spec)
    if not weights:
        raise UserError(f"task.loss names no loss. {choices('', losses)}")
    built = {}
    for name, weight in weights.items():
        own_constructor = arguments[name].get(OWN)
        if own_constructor is None and name not in losses:
            raise UserError(f"task.loss has no loss {name!r}. {choices(name, losses)}")
        if not weight > 0 or weight == float("inf"):
            raise UserError(f"task.loss weights must be above 0; got {weight} for {name}.")
        if own_constructor is not None:
            built[name] = own_loss(own_constructor, around)
            continue
        own = list(inspect.signature(losses[name]).parameters)
        for key, value in arguments[name].items():
            if key not in own:
                raise UserError(f"task.loss: {name} has no argument {key!r}. {choices(key, ['weight', *own])}")
            _check_number(f"{name}.{key}", value)
        built[name] = losses[name](**arguments[name])
    if len(built) == 1 and set(weights.values()) == {1.0}:
        return next(iter(built.values()))
    return WeightedSum(built, weights)


def names_in(spec: LossSpec) -> list[str]:
    """Return the names of the losses in `spec`."""
    return list(_read(spec)[0])


def check_belongs(key: str, is_set: bool, spec: LossSpec, takers: Iterable[str]) -> None:
    """Refuse an argument of some losses that no loss in `spec` would take.

    Raises:
        UserError: it is set, and `spec` names none of `takers`.
    """
    takers = list(takers)
    own = [each[OWN] for each in _read(spec)[1].values() if OWN in each]
    if is_set and not set(takers) & set(names_in(spec)) and not any(takes(each, key) for each in own):
        raise UserError(
            f"task.{key} belongs to the loss {' or '.join(takers)}; name it in task.loss, or leave {key} as it was."
        )


def check_factors(key: str, factors: list[float] | str | None, count: int, each: str) -> None:
    """Refuse factors of which there is not one for each class or variable, or that weigh nothing.

    Raises:
        UserError: names the key, what it got and how many there have to be.
    """
    if factors is None:
        return
    if isinstance(factors, str):
        raise UserError(
            f"task.{key}={factors} is computed from training labels, which are not known here. Give one factor per "
            f"{each}: {count} here."
        )
    if len(factors) != count:
        raise UserError(f"task.{key} has one factor per {each}: {count} here, got {len(factors)}.")
    if any(not 0 <= factor < float("inf") for factor in factors) or not sum(factors) > 0:
        raise UserError(f"task.{key} must be 0 or more, and not all 0; got {factors}.")


def _read(spec: LossSpec) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Return the weight and the own arguments of each loss by its name."""
    if isinstance(spec, partial):
        return {OWN: 1.0}, {OWN: {OWN: spec}}
    spec = plain(spec)
    assert not isinstance(spec, partial)
    if isinstance(spec, str):
        spec = [spec]
    if not isinstance(spec, Mapping):
        repeated = [name for place, name in enumerate(spec) if name in spec[:place]]
        if repeated:
            raise UserError(f"task.loss names {repeated[0]} twice; give it a weight instead: {{{repeated[0]}: 2}}.")
        spec = dict.fromkeys(spec, 1.0)
    weights, arguments = {}, {}
    for name, value in spec.items():
        own = dict(value) if isinstance(value, Mapping) else {"weight": value}
        weight = own.pop("weight", 1.0)
        _check_number(f"{name}.weight", weight)
        weights[name], arguments[name] = float(weight), own
    return weights, arguments


def _check_number(key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"task.loss.{key} must be a number; got {value!r}.")
