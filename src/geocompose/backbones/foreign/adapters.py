"""LoRA's matrices in a run's checkpoint, added to the layers that they adapt: a plain model again.

A checkpoint says under `lora` by what its matrices are multiplied: {layer: {adapter: factor}}, names as in its
`state_dict`. Source: arXiv 2106.09685, W + factor * B A.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

LORA = "lora"
WRAPPER = "base_model.model."  # what PEFT puts before a model's names
_THIRDS = ("q_linear", "k_linear", "v_linear")  # see geocompose.peft.qkv.SplitQkv


def factors(model: nn.Module, prefix: str = "") -> dict[str, dict[str, float]]:
    """Return the factor of each LoRA adapter of a model, by the layer's name after `prefix`; empty without any.

    Variants of LoRA that do more than add B A (DoRA) are left out.
    """
    found = {}
    for name, module in model.named_modules():
        scaling = getattr(module, "scaling", None)
        if hasattr(module, "lora_A") and isinstance(scaling, Mapping) and not getattr(module, "lora_variant", {}):
            found[f"{prefix}{name}"] = {str(adapter): float(factor) for adapter, factor in scaling.items()}
    return found


def merged(state: Mapping[str, Tensor], told: Mapping[str, Mapping[str, float]]) -> dict[str, Tensor] | None:
    """Return the tensors of a plain model in place of adapted layers; None where something is left that is not plain.

    told: see `factors`. Fused queries, keys and values that were split are one layer again.
    """
    rest = dict(state)
    plain: dict[str, Tensor] = {}
    for layer, adapters in told.items():
        weight, bias = rest.pop(f"{layer}.base_layer.weight", None), rest.pop(f"{layer}.base_layer.bias", None)
        for adapter, factor in adapters.items():
            down = rest.pop(f"{layer}.lora_A.{adapter}.weight", None)
            up = rest.pop(f"{layer}.lora_B.{adapter}.weight", None)
            if weight is None or down is None or up is None:
                return None
            added = torch.einsum("or,ri...->oi...", up.flatten(1).double(), down.double())
            if up.flatten(1).shape != up.shape[:2] or added.shape != weight.shape:
                return None  # a convolution in groups
            weight = (weight.double() + factor * added).to(weight.dtype)
        if weight is not None:
            plain[f"{layer}.weight"] = weight
        if bias is not None:
            plain[f"{layer}.bias"] = bias
    if any(".base_layer." in key or ".lora_" in key for key in rest):
        return None
    names = {key.replace(WRAPPER, "", 1): value for key, value in (rest | plain).items()}
    return _joined(names)


def _joined(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in which queries, keys and values that were split are one layer."""
    joined = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        start, _, third = layer.rpartition(".")
        thirds = [f"{start}.{name}.{kind}" for name in _THIRDS]
        if third not in _THIRDS or not all(name in state for name in thirds):
            joined[key] = value
        elif third == _THIRDS[0]:
            joined[f"{start}.{kind}"] = torch.cat([state[name] for name in thirds])
    return joined


def plain_checkpoint(content: Mapping[Any, Any]) -> Mapping[Any, Any] | None:
    """Return a checkpoint with its LoRA merged; None where it says nothing of LoRA, or can't be merged."""
    told, state = content.get(LORA), content.get("state_dict")
    if not _is_told(told) or not isinstance(state, Mapping):
        return None
    assert isinstance(told, Mapping)
    found = merged(state, told)
    return None if found is None else {**content, "state_dict": found}


def _is_told(told: object) -> bool:
    return (
        isinstance(told, Mapping)
        and bool(told)
        and all(isinstance(layer, str) and isinstance(adapters, Mapping) for layer, adapters in told.items())
        and all(isinstance(factor, float) for adapters in told.values() for factor in adapters.values())
    )
