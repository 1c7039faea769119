"""Layers of a backbone by their kind, and what a method of PEFT can't do with them."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from geocompose.catalog.peft_refusals import OVER_MAPS, REFUSALS, Layer, why_not
from geocompose.errors import UserError, shortened

_OF_LIBRARIES: Mapping[str, Layer] = {
    "Conv2dSame": "padding convolution",
    "Conv2dStaticSamePadding": "statically padding convolution",
}
_NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.InstanceNorm2d)


def is_norm(module: nn.Module) -> bool:
    """Return whether a module normalises; libraries' own layers do by their name (LayerNorm2d, ConvNextV2LayerNorm)."""
    return isinstance(module, _NORMS) or (
        "Norm" in type(module).__name__ and any(True for _ in module.parameters(recurse=False))
    )


def kind_of(module: nn.Module) -> Layer:
    """Return what kind of layer a module is, as the table of refusals names them."""
    if isinstance(module, nn.Linear):
        return "linear layer"
    if isinstance(module, nn.Conv3d):
        return "3D convolution"
    if isinstance(module, nn.Conv2d):
        if module.groups == module.in_channels > 1:
            return "depthwise convolution"
        if type(module).forward is not nn.Conv2d.forward:
            return _OF_LIBRARIES.get(type(module).__name__, "standardising convolution")
        if module.groups > 1:
            return "convolution in groups"
        return "1x1 convolution" if module.kernel_size == (1, 1) else "convolution"
    if isinstance(module, nn.MultiheadAttention):
        return "multi-head attention"
    return "norm" if is_norm(module) else "other layer"


def check_layers(
    method: str, backbone: nn.Module, names: Sequence[str], rank: int | None, roles: Mapping[str, Sequence[str]]
) -> None:
    """Refuse layers that a method of PEFT can't adapt.

    method: as the table of refusals names it. names: of the layers in the backbone. rank: LoRA's, which adapts
    convolutions in groups where it is a multiple of them. roles: the layers that the backbone has by role, of which
    the message names those that the method can adapt.

    Raises:
        UserError: names the layer, its kind, the reason, and the roles that would do.
    """
    for name in names:
        layer = backbone.get_submodule(name)
        if method in ("LORA", "DORA") and isinstance(layer, nn.Conv2d) and rank and layer.groups > 1:
            if rank % layer.groups == 0:
                continue
            if kind_of(layer) != "depthwise convolution":
                raise UserError(
                    f"The convolution {name} has {layer.groups} groups, which a rank of {rank} can't be divided into. "
                    f"Use peft.r={layer.groups}, or a multiple of it, or name other modules in peft.target_modules."
                )
        found = why_not(method, [kind_of(layer)])
        if found is not None:
            kind, reason = found
            able = [
                role
                for role, those in roles.items()
                if those and why_not(method, [kind_of(backbone.get_submodule(each)) for each in those]) is None
            ]
            instead = (
                f"Choose among the roles that it can adapt here, such as peft.roles=[{shortened(able, 7)}]."
                if able
                else "It has no layers that this method can adapt: choose another option of peft."
            )
            raise UserError(
                f"PEFT's {method} can't adapt {type(backbone).__name__}: {name} is a {kind}, and {reason}. {instead}"
            )


def refuse_maps(adapted: nn.Module, method: str) -> None:
    """Have adapted linear layers refuse maps where a method of PEFT can't do with them: in the build's trial."""
    if (method, OVER_MAPS) in REFUSALS:
        for part in adapted.modules():
            if isinstance(getattr(part, "base_layer", None), nn.Linear):
                part.register_forward_pre_hook(_OverMaps(method))


class _OverMaps:
    def __init__(self, method: str) -> None:
        self.method = method

    def __call__(self, layer: nn.Module, given: tuple[object, ...]) -> None:
        if isinstance(given[0], Tensor) and given[0].ndim == 4:
            raise UserError(
                f"PEFT's {self.method} can't adapt this backbone: one of the layers is a {OVER_MAPS}, and "
                f"{REFUSALS[self.method, OVER_MAPS]}. Choose another option of peft, such as hra."
            )
