"""Adapters merged into the layers that they adapt: a backbone with the names and the numbers of a plain one."""

from typing import Any

import torch
from torch import nn

from geocompose.catalog.peft_refusals import why_not_merged
from geocompose.errors import FOREIGN_ERRORS, UserError, first_line, shortened
from geocompose.peft.layers import kind_of
from geocompose.peft.qkv import SplitQkv


def merge(backbone: nn.Module) -> nn.Module:
    """Return the plain backbone of an adapted one, which is changed; one without adapters is returned as it is.

    Fused queries, keys and values that were split for the adapters are one layer again. What was trained beside
    adapters (biases, modules to save) stays.

    Raises:
        UserError: PEFT can't merge this method or one of the adapted layers.
    """
    adapted: Any = backbone
    if hasattr(backbone, "peft_config"):
        _refuse_other_weights(backbone)
        methods = ", ".join(sorted(str(config.peft_type.value) for config in adapted.peft_config.values()))
        try:
            with torch.no_grad():
                backbone = adapted.merge_and_unload(safe_merge=True)
        except FOREIGN_ERRORS as error:
            raise UserError(
                f"PEFT can't merge the adapters of {methods}: {first_line(error)}. The run's model can be exported "
                "as it is, by action.format=bundle, pt2 or onnx."
            ) from error
    left = [name for name, part in backbone.named_modules() if hasattr(part, "base_layer")]
    if left:
        raise UserError(
            f"Adapters are left after merging, in {shortened(left, 3)}: they don't add to their layer's weights alone. "
            "The run's model can be exported as it is, by action.format=bundle, pt2 or onnx."
        )
    join_qkv(backbone)
    return backbone


def _refuse_other_weights(adapted: Any) -> None:
    """Refuse layers into which PEFT would merge what is then another layer.

    Raises:
        UserError: names the layer and the reason.
    """
    methods = {
        "DORA" if getattr(config, "use_dora", False) else str(config.peft_type.value)
        for config in adapted.peft_config.values()
    }
    for name, part in adapted.named_modules():
        kinds = [kind_of(part.base_layer)] if isinstance(getattr(part, "base_layer", None), nn.Module) else []
        for method in sorted(methods):
            found = why_not_merged(method, kinds)
            if found is not None:
                raise UserError(
                    f"The adapters of {method} can't be merged: {name} is a {found[0]}, and {found[1]}. The run's "
                    "model can be exported as it is, by action.format=bundle, pt2 or onnx."
                )


def join_qkv(backbone: nn.Module) -> list[str]:
    """Make one layer of queries, keys and values that were split, in place; return the layers' names."""
    split = [name for name, part in backbone.named_modules() if isinstance(part, SplitQkv)]
    for name in split:
        parent, _, last = name.rpartition(".")
        parts = backbone.get_submodule(name)
        assert isinstance(parts, SplitQkv)
        setattr(backbone.get_submodule(parent), last, _joined(parts))
    return split


def _joined(parts: SplitQkv) -> nn.Linear:
    weight, bias = parts.weight.detach(), parts.bias
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    layer.requires_grad_(False)
    return layer.train(parts.training)
