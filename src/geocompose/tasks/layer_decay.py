"""Learning rates that fall with depth: the backbone's first layers, the most general ones, change least.

Each block has `decay` times the rate of the one after it; what stands before the blocks (patch embedding, stem,
position and class tokens) comes last. What comes after the blocks, and adapters beside them, have the whole rate.
Blocks are those of `geocompose.peft.blocks`, of each backbone where several stand side by side.

Source: ELECTRA (arXiv 2003.10555); for vision transformers BEiT (arXiv 2106.08254), with 0.65 to 0.9.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from geocompose.errors import UserError, counted
from geocompose.models.freezing import adapter_parameters
from geocompose.peft.blocks import blocks_of, single_backbones

log = logging.getLogger("geocompose")

DEPTH = "depth"  # the key of a group whose rate has fallen: how many times


def groups_by_depth(
    backbone: nn.Module, learning: Sequence[nn.Parameter], decay: float, rate: float | None
) -> list[dict[str, Any]]:
    """Return an optimizer's groups of a backbone's parameters by their depth, the whole rate first.

    learning: the parameters that learn. decay: above 0, at most 1. rate: that of the last layer.

    Raises:
        UserError: the decay is out of range, there is no rate to fall, or nothing in the blocks or before them learns.
    """
    if not 0 < decay <= 1:
        raise UserError(f"task.layer_decay must be above 0 and at most 1, such as 0.75, or null; got {decay}.")
    if rate is None:
        raise UserError("task.layer_decay needs a rate to fall from: write optimizer.lr.")
    depths = _depths(backbone)
    by_depth: dict[int, list[nn.Parameter]] = {}
    for parameter in learning:
        by_depth.setdefault(depths.get(id(parameter), 0), []).append(parameter)
    if not any(by_depth):
        raise UserError(
            f"task.layer_decay={decay} would change nothing: nothing learns in blocks of the backbone, or it has none. "
            "Leave it null, or free the backbone (peft, task.freeze_backbone)."
        )
    return [
        {"params": by_depth[depth], "lr": rate * decay**depth, **({DEPTH: depth} if depth else {})}
        for depth in sorted(by_depth)
    ]


def _depths(backbone: nn.Module) -> Mapping[int, int]:
    """Return how many times each parameter's rate falls, by its id."""
    beside = {id(parameter) for parameter in adapter_parameters(backbone)}
    depths: dict[int, int] = {}
    for _, single in single_backbones(backbone):
        blocks = blocks_of(single)
        for name, parameter in single.named_parameters():
            layer = blocks.layer_of(name)
            outside = layer == 0 and id(parameter) in beside  # such as Prithvi's own prompts
            depths[id(parameter)] = 0 if outside or not blocks.names else blocks.num_layers - 1 - layer
    return depths


def tell_rates(groups: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Say over which rates a backbone's layers fall, and return them by depth; None where they have one rate."""
    rates = {int(group[DEPTH]): float(group["lr"]) for group in groups if DEPTH in group}
    if not rates:
        return None
    log.info(
        "task.layer_decay: the backbone's rate falls over %s, to %.3g at its first.",
        counted(len(rates), "layer"), rates[max(rates)],
    )  # fmt: skip
    return {str(depth): rate for depth, rate in rates.items()}
