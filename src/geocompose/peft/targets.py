"""What a method adapts: modules by the role that they have in a family of backbones, or by a pattern that somebody wrote."""

import re
from collections.abc import Sequence

from torch import nn

from geocompose.errors import UserError, choices
from geocompose.peft.qkv import fused_layers, split_qkv

# How layers of attention and of the feed-forward part are called by those who publish backbones.
QUERY = ("q_linear", "q_proj", "query", "to_q", "q")
VALUE = ("v_linear", "v_proj", "value", "to_v", "v")
FEED_FORWARD = ("fc1", "fc2", "fc1_g", "fc1_x", "w1", "w2", "w3", "w12")
FEED_FORWARD_PARENTS = ("mlp", "ffn", "feed_forward")


def family_targets(backbone: nn.Module, rank: int) -> list[str]:
    """Return the full names of the modules that LoRA adapts in this backbone; fused queries, keys and values are split.

    Transformers (ViT, Swin, ...): queries, values and both layers of the feed-forward part. Convolutional networks: every
    convolution that is not depthwise, and the feed-forward layers beside them (ConvNeXt's pointwise convolutions).

    Raises:
        UserError: there is neither.
    """
    if fused_layers(backbone):
        split_qkv(backbone, "qkv")
    linear = [name for name, module in backbone.named_modules() if isinstance(module, nn.Linear)]
    attention = [name for name in linear if name.rpartition(".")[2] in (*QUERY, *VALUE)]
    feed_forward = [
        name
        for name in linear
        if name.rpartition(".")[2] in FEED_FORWARD
        and name.split(".")[-2:-1]
        and name.split(".")[-2] in FEED_FORWARD_PARENTS
    ]
    found = [*attention, *feed_forward] if attention else [*_convolutions(backbone, rank), *feed_forward]
    if not found:
        raise UserError(
            f"{type(backbone).__name__} has neither attention with queries and values nor convolutions that are known here. "
            f"Name the modules in peft.target_modules; there are {_kinds(backbone)}."
        )
    return found


def _convolutions(backbone: nn.Module, rank: int) -> list[str]:
    found = []
    for name, module in backbone.named_modules():
        if not isinstance(module, nn.Conv2d) or module.groups == module.in_channels > 1:
            continue
        if rank % module.groups:
            raise UserError(
                f"The convolution {name} has {module.groups} groups, which a rank of {rank} can't be divided into. Use "
                f"peft.r={module.groups}, or a multiple of it, or name other modules in peft.target_modules."
            )
        found.append(name)
    return found


def check_targets(backbone: nn.Module, targets: str | Sequence[str]) -> None:
    """Refuse a pattern that matches no module: PEFT goes on as long as any of several does.

    targets: the last parts of modules' names, or one regular expression for whole names, as PEFT reads them.

    Raises:
        UserError: names the pattern, the nearest names, and what there is.
    """
    names = [name for name, _ in backbone.named_modules() if name]
    if isinstance(targets, str):
        if targets != "all-linear" and not any(re.fullmatch(targets, name) for name in names):
            raise UserError(
                f"target_modules={targets!r} is a pattern that matches no module. There are {_kinds(backbone)}."
            )
        return
    if not targets:
        raise UserError(f"target_modules is empty, so nothing would be adapted. There are {_kinds(backbone)}.")
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            parts = str(target).count(".") + 1
            endings = sorted({".".join(name.split(".")[-parts:]) for name in names})
            raise UserError(
                f"target_modules has {target!r}, which ends no module's name. {choices(str(target), endings)} There are "
                f"{_kinds(backbone)}."
            )


def _kinds(backbone: nn.Module) -> str:
    kinds: dict[str, str] = {}
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            kinds.setdefault(name.rpartition(".")[2], type(module).__name__)
    shown = [f"{name} ({kind})" for name, kind in list(kinds.items())[:12]]
    return ", ".join(shown) + (", ..." if len(kinds) > 12 else "") if kinds else "no linear layers or convolutions"
