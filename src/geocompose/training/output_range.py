"""Whether what stands at the end of a head of numbers lets the model say what the labels hold."""

import logging
from typing import Any

import torch
from torch import nn

from geocompose.errors import UserError
from geocompose.imagery.samples import Target

log = logging.getLogger("geocompose")

# Beyond it no activation changes any more, and below float32's largest number squares of it need not be.
_FAR = 1e18
_REACHED = 0.75


def check_output_range(model: nn.Module, target: Target, variables: dict[str, dict[str, Any]]) -> None:
    """Refuse activations that keep usual labels out of reach, and tell of those that do so with rare ones.

    A head's activation acts before the target's deviation and mean turn its output into the physical unit: a ReLU in
    front of them lets a model say nothing below the mean.

    variables: for each variable `mean`, `std`, `min` and `max` of its training labels, in its physical unit. Usual are
    labels up to two standard deviations from the mean; a quarter of their range may be out of reach.

    Raises:
        UserError: names the activation, what it leaves and what the labels are.
    """
    for place, module in model.named_modules():
        activation = getattr(module, "final_act", None)
        if not isinstance(activation, nn.Module) or isinstance(activation, nn.Identity):
            continue
        key = "head.final_act" if place == "head" else f"{place}.final_act"
        for index, name in enumerate(target.names):
            low, high = _physical(activation, target, index)
            labels = variables[name]
            least, greatest = labels["min"], labels["max"]
            slack = 1e-6 * (greatest - least)
            says = (
                f"{key}={type(activation).__name__} lets the model say {low:.4g} to {high:.4g} of {name}, but its "
                f"training labels are {least:.4g} to {greatest:.4g}"
            )
            if low - slack <= least and greatest <= high + slack:
                continue
            usual = max(least, labels["mean"] - 2 * labels["std"]), min(greatest, labels["mean"] + 2 * labels["std"])
            if min(usual[1], high) - max(usual[0], low) >= _REACHED * (usual[1] - usual[0]):
                log.warning("%s: the labels beyond are never met.", says)
                continue
            raise UserError(f"{says}. {_advice(target, index)}")


def _physical(activation: nn.Module, target: Target, index: int) -> tuple[float, float]:
    """Return the least and the greatest number of a variable that the activation lets through, in its physical unit."""
    assert target.mean is not None, "the target's mean and std are known after the data's setup"
    assert target.std is not None
    steps = torch.cat([torch.linspace(-20, 20, 401), torch.tensor([-_FAR, _FAR])])
    # Each variable in another order, for activations across variables.
    draw = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(steps), generator=draw) for _ in target.names]
    with torch.no_grad():
        passed = activation.cpu()(torch.stack([steps[order] for order in orders])[None, :, None])[0, index]
    passed = passed[~passed.isnan()].double()
    mean, std = target.mean[index], target.std[index]
    return float(passed.min()) * std + mean, float(passed.max()) * std + mean


def _advice(target: Target, index: int) -> str:
    assert target.mean is not None
    assert target.std is not None
    if (target.mean[index], target.std[index]) == (0.0, 1.0):
        return "Write head.final_act=null, or choose an activation that reaches them."
    return (
        f"It acts before the labels' deviation ({target.std[index]:.4g}) and mean ({target.mean[index]:.4g}) are "
        "applied. Write head.final_act=null, or data.normalize_target=none, under which it acts in the labels' own "
        "unit."
    )
