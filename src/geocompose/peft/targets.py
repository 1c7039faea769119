"""What a method adapts: modules by their role in a family of backbones, or by a pattern that a user wrote."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from geocompose.backbones.fusion.backbone import FusionBackbone
from geocompose.catalog.peft_refusals import PASSED_OVER
from geocompose.errors import UserError, nearest
from geocompose.peft.layers import kind_of
from geocompose.peft.qkv import fused_layers, split_qkv
from geocompose.peft.roles import QUERY, VALUE

# The feed-forward layers that a method adapts without `peft.roles`: recorded runs did, so the list stays as it is.
# The role `mlp` knows more (geocompose.peft.roles).
FEED_FORWARD = ("fc1", "fc2", "fc1_g", "fc1_x", "w1", "w2", "w3", "w12")
FEED_FORWARD_PARENTS = ("mlp", "ffn", "feed_forward")

TARGETS = "peft.target_modules"  # the key, as messages name it
NO_LAYERS = "no linear layers or convolutions"


def family_targets(backbone: nn.Module) -> list[str]:
    """Return the full names of the modules that are adapted in this backbone; fused queries, keys, values are split.

    Transformers (ViT, Swin, ...): queries, values and both layers of the feed-forward part. Convolutional networks:
    every convolution but those in `PASSED_OVER` (depthwise ones), and the feed-forward layers beside them (ConvNeXt's
    pointwise convolutions). Of backbones side by side, each has its own.

    Raises:
        UserError: there is neither.
    """
    for name, module in backbone.named_modules():
        if isinstance(module, FusionBackbone):
            start = f"{name}.parts" if name else "parts"
            return [
                f"{start}.{part}.{target}" for part, fused in module.parts.items() for target in family_targets(fused)
            ]
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
    found = [*attention, *feed_forward] if attention else [*_convolutions(backbone), *feed_forward]
    if not found:
        nothing = f"{type(backbone).__name__} has neither attention with queries and values nor convolutions"
        if not _kinds(backbone):
            raise UserError(f"{nothing}, and no linear layer: this method has nothing to adapt in it. Use peft=none.")
        raise UserError(
            f"{nothing} that are known here. Name the modules in peft.target_modules; there are {_kinds(backbone)}."
        )
    return found


def _convolutions(backbone: nn.Module) -> list[str]:
    return [
        name
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Conv2d) and kind_of(module) not in PASSED_OVER
    ]


def matched(backbone: nn.Module, targets: str | Sequence[str], exclude: str | Sequence[str] | None = None) -> list[str]:
    """Return the full names of the modules that PEFT's target_modules mean, without those of exclude_modules."""
    names = [name for name, _ in backbone.named_modules() if name]
    if targets == "all-linear":
        found = [name for name in names if isinstance(backbone.get_submodule(name), nn.Linear)]
    else:
        found = [name for name in names if _means(targets, name)]
    return [name for name in found if exclude is None or not _means(exclude, name)]


def exactly(backbone: nn.Module, names: Sequence[str]) -> list[str] | str:
    """Return PEFT's target_modules for these full names and no others.

    PEFT takes a name as the end of others: one at the top, such as `norm`, would also mean each `blocks.0.norm`.
    """
    if set(matched(backbone, names)) == set(names):
        return list(names)
    return "|".join(re.escape(name) for name in names)


def _means(targets: str | Sequence[str], name: str) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets)


def check_targets(backbone: nn.Module, targets: str | Sequence[str]) -> None:
    """Refuse a pattern that matches no module: PEFT goes on as long as any of several does.

    targets: the last parts of modules' names, or one regular expression for whole names, as PEFT reads them.

    Raises:
        UserError: names the pattern, the nearest names, and what there is.
    """
    if isinstance(targets, str):
        if targets != "all-linear":
            _check_expression(backbone, TARGETS, targets)
        return
    if isinstance(targets, Sequence) and not targets:
        raise UserError(f"{TARGETS} is empty, so nothing would be adapted. There are {_kinds(backbone) or NO_LAYERS}.")
    _check_endings(backbone, TARGETS, targets)


def check_patterns(backbone: nn.Module, arguments: Mapping[str, Any]) -> None:
    """Refuse what names modules beside target_modules and matches none: PEFT passes over it without a word.

    Raises:
        UserError: names the pattern, the nearest names, and what there is.
    """
    for argument in ("modules_to_save", "exclude_modules", "feedforward_modules"):
        given = arguments.get(argument)
        if isinstance(given, str):
            _check_expression(backbone, argument, given)
        elif given is not None:
            _check_endings(backbone, argument, given)
    for argument in ("rank_pattern", "alpha_pattern"):
        for pattern in arguments.get(argument) or {}:
            _check_expression(backbone, argument, pattern, before=r"(?:.*\.)?")


def _check_expression(backbone: nn.Module, argument: str, pattern: str, before: str = "") -> None:
    try:
        matches = any(re.fullmatch(f"{before}(?:{pattern})", name) for name, _ in backbone.named_modules() if name)
    except re.error as error:
        raise UserError(f"{argument}={pattern!r} is not a regular expression: {error}.") from error
    if not matches:
        raise UserError(
            f"{argument}={pattern!r} is a pattern that matches no module. There are {_kinds(backbone) or NO_LAYERS}."
        )


def _check_endings(backbone: nn.Module, argument: str, targets: Any) -> None:
    if not isinstance(targets, Sequence) or not all(isinstance(target, str) for target in targets):
        raise UserError(
            f"{argument} must be a list of the last parts of modules' names, such as [mlp.fc1]; got {targets!r}."
        )
    names = [name for name, _ in backbone.named_modules() if name]
    for target in targets:
        # PEFT takes any ending of a name as a module to save, and elsewhere a name's last whole parts.
        start = "" if argument == "modules_to_save" else "."
        if not any(name == target or name.endswith(f"{start}{target}") for name in names):
            parts = target.count(".") + 1
            guess = nearest(target, sorted({".".join(name.split(".")[-parts:]) for name in names}))
            hint = f"Did you mean {guess!r}? " if guess else ""
            raise UserError(
                f"{argument} has {target!r}, but no module's name ends with that. {hint}Available: "
                f"{_kinds(backbone) or NO_LAYERS}."
            )


def _kinds(backbone: nn.Module) -> str:
    """Return the last parts of the names of linear layers and convolutions, each with its class; "" of none."""
    kinds: dict[str, str] = {}
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            kinds.setdefault(name.rpartition(".")[2], type(module).__name__)
    shown = [f"{name} ({kind})" for name, kind in list(kinds.items())[:12]]
    return ", ".join(shown) + (", ..." if len(kinds) > 12 else "")
