"""SSF: each layer's output is scaled and shifted, channel by channel, and nothing else of the backbone learns.

Source: Scaling & Shifting Your Features, arXiv 2210.08823.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from geocompose.catalog.peft_refusals import refusal
from geocompose.errors import UserError, counted
from geocompose.peft.blocks import recorded_calls, single_backbones
from geocompose.peft.layers import is_norm, kind_of
from geocompose.peft.library import refuse_adapted
from geocompose.peft.share import say_share

SCALE, SHIFT = "ssf_scale", "ssf_shift"


@dataclass(frozen=True)
class Ssf:
    """A factor and a summand for each channel after each linear layer, convolution and norm; they start at 1 and 0.

    A layer without a bias gets the factor alone, so that it is the same layer when both are merged into its weights; in
    convolutional networks its norm has the summand. Layers whose weights the backbone multiplies by itself, past their
    forward (Swin V2's queries, keys and values), are left out, and so are convolutions that compute with other
    weights than those they hold (BiT's, NFNet's) and norms that end in an activation. Statistics of batch norms stand
    still.
    """

    freezes = True
    keeps_outputs_at_start = True
    mergeable = True

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone, whose layers have `ssf_scale` and, beside a bias, `ssf_shift`.

        Raises:
            UserError: it has no such layer, or has them already.
        """
        if any(hasattr(part, SCALE) for part in backbone.modules()):
            raise UserError(
                "The backbone has scales and shifts of peft=ssf already. Give one without, or use peft=none."
            )
        refuse_adapted(backbone)
        learning: list[nn.Parameter] = []
        count = 0
        for _, single in single_backbones(backbone):
            calls = recorded_calls(single)
            for name, module in list(single.named_modules()):
                axis = _channel_axis(module, calls[name].returned) if name in calls else None
                if axis is not None:
                    learning += _attach(module, axis)
                    count += 1
        if not count:
            instead = "Use peft=none or peft=frozen."
            raise UserError(refusal("ssf", type(backbone).__name__, "no layers", instead))
        say_share("ssf", f"scale and shift after {counted(count, 'layer')}", learning, backbone)
        return backbone

    def merge(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone as a plain one: scales and shifts are part of its weights and biases."""
        return merged(backbone)


class ScaledAndShifted:
    """The forward hook of a layer: scales and shifts what it returns."""

    def __init__(self, axis: int) -> None:
        """Take where the channels are: 1, or -1 for the last place."""
        self.axis = axis

    def __call__(self, module: Any, args: Any, returned: Tensor) -> Tensor:
        """Return the layer's output, channel by channel times the scale, plus the shift."""
        shape = [1] * returned.ndim
        shape[self.axis] = -1
        scaled = returned * module.ssf_scale.view(shape)
        return scaled if module.bias is None else scaled + module.ssf_shift.view(shape)


def _attach(module: Any, axis: int) -> list[nn.Parameter]:
    channels = module.out_channels if isinstance(module, _ConvNd) else module.weight.shape[0]
    like: Tensor = module.weight
    added = {SCALE: torch.ones(channels, device=like.device, dtype=like.dtype)}
    if module.bias is not None:
        added[SHIFT] = torch.zeros(channels, device=like.device, dtype=like.dtype)
    for name, value in added.items():
        module.register_parameter(name, nn.Parameter(value))
    module.register_forward_hook(ScaledAndShifted(axis))
    module.adapter_layer_names = (*getattr(module, "adapter_layer_names", ()), *added)
    return [getattr(module, name) for name in added]


def _channel_axis(module: nn.Module, returned: tuple[int, ...] | None) -> int | None:
    """Return where the channels of what a layer returns are; None for what is no layer, or does not learn."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, nn.Parameter) or not weight.requires_grad or returned is None:
        return None
    if isinstance(module, nn.Linear):
        return -1
    if isinstance(module, _ConvNd):
        return None if kind_of(module) == "standardising convolution" else 1
    # A norm with its activation (timm's) or with more inside can't take up what comes after.
    ends_in_activation = any(not isinstance(child, nn.Identity) for child in module.children())
    if not is_norm(module) or weight.ndim != 1 or ends_in_activation or not isinstance(_bias(module), nn.Parameter):
        return None
    if isinstance(module, _NormBase | nn.GroupNorm):
        return 1
    last, second = returned[-1] == len(weight), len(returned) > 2 and returned[1] == len(weight)
    if last and second:  # as many columns as channels: layer norms of maps say in their name that they are
        return 1 if "2d" in type(module).__name__.lower() else -1
    return -1 if last else 1 if second else None


def _bias(module: nn.Module) -> object:
    return getattr(module, "bias", None)


@torch.no_grad()
def merged(backbone: nn.Module) -> nn.Module:
    """Return the backbone with scales and shifts in its own weights, a plain one again."""
    for module in backbone.modules():
        scale = getattr(module, SCALE, None)
        if scale is None:
            continue
        layer: Any = module
        shape = [1] * layer.weight.ndim
        shape[0] = -1
        if isinstance(module, _ConvTransposeNd):
            rows = scale.view(module.groups, -1).repeat_interleave(module.in_channels // module.groups, dim=0)
            layer.weight.mul_(rows.view(module.in_channels, -1, *shape[2:]))
        else:
            layer.weight.mul_(scale.view(shape))
        if layer.bias is not None:
            layer.bias.copy_(layer.bias * scale + layer.ssf_shift)
            del layer.ssf_shift
        del layer.ssf_scale
        hooks = layer._forward_hooks
        for place in [place for place, hook in hooks.items() if isinstance(hook, ScaledAndShifted)]:
            del hooks[place]
        layer.adapter_layer_names = tuple(name for name in layer.adapter_layer_names if name not in (SCALE, SHIFT))
    return backbone
