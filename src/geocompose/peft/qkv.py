"""Splitting a fused query-key-value layer, so that each of the three can be adapted alone."""

from typing import Any

import torch
from torch import Tensor, nn

from geocompose.errors import UserError, choices


class SplitQkv(nn.Module):
    """Three linear layers in place of a fused one: the same numbers come out, in the same order."""

    def __init__(self, fused: nn.Linear) -> None:
        """Take the rows of `fused` for queries, keys and values as copies of their own."""
        super().__init__()
        self.q_linear, self.k_linear, self.v_linear = (self._third(fused, place) for place in range(3))

    @staticmethod
    def _third(fused: nn.Linear, place: int) -> nn.Linear:
        width = fused.out_features // 3
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
        """Return queries, keys and values (..., 3 * width) of x (..., in)."""
        return torch.cat([self.q_linear(x), self.k_linear(x), self.v_linear(x)], dim=-1)

    @property
    def weight(self) -> Tensor:
        """The three matrices as one, with their adapters, for attention that multiplies by it itself.

        Swin V2, BEiT, EVA and torchvision's Swin do.

        Raises:
            UserError: an adapter that doesn't add a matrix, such as DoRA's or one with dropout.
        """
        return torch.cat([_adapted_matrix(part) for part in (self.q_linear, self.k_linear, self.v_linear)])

    @property
    def bias(self) -> Tensor | None:
        """The three biases as one, for attention that adds it itself (torchvision's Swin); None without."""
        biases = [getattr(part, "base_layer", part).bias for part in (self.q_linear, self.k_linear, self.v_linear)]
        return None if biases[0] is None else torch.cat(biases)


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
    return [
        name
        for name, module in backbone.named_modules()
        if (name == suffix or name.endswith(f".{suffix}"))
        and isinstance(module, nn.Linear)
        and module.out_features % 3 == 0
    ]


def split_qkv(backbone: nn.Module, suffix: str) -> list[str]:
    """Split every fused layer whose name ends in `suffix`, in place; return their names.

    Raises:
        UserError: there isn't one; names the nearest.
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
        fused = backbone.get_submodule(name)
        assert isinstance(fused, nn.Linear)
        setattr(backbone.get_submodule(parent), last, SplitQkv(fused))
    return found
