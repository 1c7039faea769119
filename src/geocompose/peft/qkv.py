"""Splitting a fused query-key-value layer, so that each of the three can be adapted alone."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.errors import UserError, choices

PARTS = ("q_linear", "k_linear", "v_linear")
# What a fused layer returns at once, by the last part of its name: thirds, or halves beside a layer for queries.
FUSED: Mapping[str, tuple[str, ...]] = {"qkv": PARTS, "to_qkv": PARTS, "kv": PARTS[1:]}


class SplitQkv(nn.Module):
    """Linear layers of their own in place of a fused one: the same numbers come out, in the same order."""

    def __init__(self, fused: nn.Linear, parts: tuple[str, ...] = PARTS) -> None:
        """Take the rows of `fused` for each of its parts as copies of their own.

        parts: names of the layers, in the order of the rows: queries, keys and values, or keys and values.
        """
        super().__init__()
        self.parts = parts
        for place, name in enumerate(parts):
            setattr(self, name, self._share(fused, place, len(parts)))

    @staticmethod
    def _share(fused: nn.Linear, place: int, count: int) -> nn.Linear:
        width = fused.out_features // count
        rows = slice(place * width, (place + 1) * width)
        part = nn.Linear(
            fused.in_features, width, bias=fused.bias is not None, device=fused.weight.device, dtype=fused.weight.dtype
        )
        with torch.no_grad():
            part.weight.copy_(fused.weight[rows])
            if fused.bias is not None:
                part.bias.copy_(fused.bias[rows])
        part.requires_grad_(fused.weight.requires_grad)
        return part

    def forward(self, x: Tensor) -> Tensor:
        """Return queries, keys and values (..., 3 * width) of x (..., in); or keys and values (..., 2 * width)."""
        return torch.cat([part(x) for part in self._layers()], dim=-1)

    @property
    def weight(self) -> Tensor:
        """The matrices as one, with their adapters, for attention that multiplies by it itself.

        Swin V2, BEiT, EVA and torchvision's Swin do.

        Raises:
            UserError: an adapter that doesn't add a matrix, such as DoRA's or one with dropout.
        """
        return torch.cat([_adapted_matrix(part) for part in self._layers()])

    @property
    def bias(self) -> Tensor | None:
        """The biases as one, for attention that adds it itself (torchvision's Swin); None without."""
        biases = [getattr(part, "base_layer", part).bias for part in self._layers()]
        return None if biases[0] is None else torch.cat(biases)

    def _layers(self) -> list[Any]:
        return [getattr(self, name) for name in self.parts]


def _adapted_matrix(layer: Any) -> Tensor:
    """Return the matrix that a linear layer multiplies by, with what PEFT's adapters add to it."""
    if not hasattr(layer, "base_layer"):
        return layer.weight
    matrix: Tensor = layer.base_layer.weight
    if layer.disable_adapters or layer.merged:
        return matrix
    for name in layer.active_adapters:
        dropout = getattr(layer, "lora_dropout", {})
        plain = hasattr(layer, "lora_A") and not getattr(layer, "lora_variant", {})
        if not plain or (name in dropout and isinstance(dropout[name], nn.Dropout)):
            raise UserError(
                "This backbone multiplies by its fused qkv weights itself, which only LoRA without dropout and without "
                "variants can adapt. Use peft.dropout=0, or adapt other modules, such as peft.target_modules=[proj, "
                "fc1, fc2]."
            )
        matrix = matrix + layer.get_delta_weight(name)
    return matrix


def fused_layers(backbone: nn.Module, suffix: str = "qkv") -> list[str]:
    """Return the names of the linear layers that end in `suffix` and return queries, keys and values at once."""
    count = len(FUSED.get(suffix, PARTS))
    return [
        name
        for name, module in backbone.named_modules()
        if (name == suffix or name.endswith(f".{suffix}"))
        and isinstance(module, nn.Linear)
        and module.out_features % count == 0
    ]


def split_qkv(backbone: nn.Module, suffix: str) -> list[str]:
    """Split every fused layer whose name ends in `suffix`, in place; return their names.

    Raises:
        UserError: there isn't one, which names the nearest; or its rows are not in the order of queries, keys and
            values, but by heads.
    """
    found = fused_layers(backbone, suffix)
    if not found:
        there = sorted(
            {name.rpartition(".")[2] for name, part in backbone.named_modules() if isinstance(part, nn.Linear)}
        )
        raise UserError(
            f"replace_qkv={suffix} doesn't end the name of a linear layer with queries, keys and values in one. "
            f"{choices(suffix, there)}"
        )
    for name in found:
        parent, _, last = name.rpartition(".")
        fused, attention = backbone.get_submodule(name), backbone.get_submodule(parent)
        assert isinstance(fused, nn.Linear)
        # timm's MaxViT and CoAtNet keep the rows of each head together: thirds of it are not queries, keys and values.
        if getattr(attention, "head_first", False):
            raise UserError(
                f"{name} holds queries, keys and values head by head, so they can't be split. Adapt the layer as a "
                f"whole: peft.target_modules=[{last}, fc1, fc2], for example."
            )
        setattr(attention, last, SplitQkv(fused, FUSED.get(suffix, PARTS)))
    return found
