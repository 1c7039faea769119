"""Layers of a backbone by their role: queries, keys, values and projections of attention, MLPs, convolutions, norms.

Names are those of Prithvi and timm, torchvision, transformers, torchgeo and smp; a backbone of your own is understood
where it uses one of them.
"""

import re
from collections.abc import Iterator, Sequence

from torch import nn

from geocompose.catalog.peft_methods import ROLES
from geocompose.catalog.peft_refusals import PASSED_OVER
from geocompose.errors import UserError, choices
from geocompose.peft.layers import is_norm, kind_of
from geocompose.peft.qkv import FUSED, fused_layers, split_qkv

# Names of the layers of attention.
QUERY = ("q_linear", "q_proj", "query", "to_q", "q")
KEY = ("k_linear", "k_proj", "key", "to_k", "k")
VALUE = ("v_linear", "v_proj", "value", "to_v", "v")
_OF_ATTENTION = {"query": QUERY, "key": KEY, "value": VALUE}
_PROJECTION = ("proj", "out_proj", "o_proj", "to_out")

# Ends of the names of both layers of a feed-forward part; each is followed by the last layer's alone.
_MLP = {
    r"(mlp|ffn|feed_forward)\.(fc1|fc2|fc1_g|fc1_x|w1|w2|w3|w12)": r"(fc2|w3)",
    r"mlp\.(up_proj|gate_proj|down_proj)": r"down_proj",  # transformers' DINOv3
    r"mlp\.dense[12]": r"dense2",  # transformers' PVT v2
    r"mlp\.[03]": r"3",  # torchvision
    r"(intermediate|output)\.dense": r"output\.dense",  # transformers' Swin
    r"pwconv[12]": r"pwconv2",  # transformers' ConvNeXt V2
    r"net\.[03]": r"3",  # torchgeo's CROMA
}


def in_roles(backbone: nn.Module, roles: Sequence[str]) -> list[str]:
    """Return the full names of the layers in these roles; fused queries, keys and values are split first, in place.

    Of backbones side by side, those of each part that has them.

    Raises:
        UserError: an unknown role, or one that no layer of the backbone has.
    """
    _check_names(roles)
    if any(role in _OF_ATTENTION for role in roles):
        _split(backbone)
    found: list[str] = []
    for role in roles:
        layers = _layers(backbone, role)
        if not layers:
            there = [other for other, names in roles_of(backbone).items() if names]
            has = f"It has {', '.join(there)}: choose among them" if there else "It has none that is known here"
            raise UserError(
                f"peft.roles has {role!r}, but {type(backbone).__name__} has no layers in that role. {has}, or name "
                "the modules in peft.target_modules."
            )
        found += [name for name in layers if name not in found]
    return found


def roles_of(backbone: nn.Module) -> dict[str, list[str]]:
    """Return the names of a backbone's layers by role.

    Nothing is changed: fused queries, keys and values that are not split have all the roles of what they hold.
    """
    found = {role: _layers(backbone, role) for role in ROLES}
    for suffix in _fused(backbone):
        for part in FUSED[suffix]:
            role = next(role for role, names in _OF_ATTENTION.items() if part in names)
            found[role] += fused_layers(backbone, suffix)
    return found


def _check_names(roles: Sequence[str]) -> None:
    if not roles:
        raise UserError(f"peft.roles is empty, so nothing would be adapted. Allowed: {', '.join(ROLES)}.")
    for role in roles:
        if role not in ROLES:
            raise UserError(f"peft.roles has no role {role!r}. {choices(role, ROLES)}")


def _fused(backbone: nn.Module) -> list[str]:
    """Return the ends of the names of layers that return queries, keys and values at once."""
    return [suffix for suffix in FUSED if fused_layers(backbone, suffix)]


def _split(backbone: nn.Module) -> None:
    for suffix in _fused(backbone):
        split_qkv(backbone, suffix)


def _layers(backbone: nn.Module, role: str) -> list[str]:
    if role in ("mlp", "mlp_out"):
        return list(_feed_forward(backbone, last=role == "mlp_out"))
    if role == "convolution":
        return [
            name
            for name, module in backbone.named_modules()
            if isinstance(module, nn.Conv2d | nn.Conv3d) and kind_of(module) not in PASSED_OVER
        ]
    if role == "norm":
        return [name for name, module in backbone.named_modules() if is_norm(module)]
    linear = [name for name, module in backbone.named_modules() if isinstance(module, nn.Linear)]
    if role == "projection":
        return list(_projections(backbone, set(linear)))
    return [name for name in linear if name.rpartition(".")[2] in _OF_ATTENTION[role]]


def _projections(backbone: nn.Module, linear: set[str]) -> Iterator[str]:
    """Yield the layers behind attention, which stand beside its queries; transformers' Swin has them in `output`."""
    for name in _attention(backbone):
        beside = [f"{name}.{each}" if name else each for each in _PROJECTION]
        beside.append(f"{name.rpartition('.')[0]}.output.dense")
        yield from (each for each in beside if each in linear)


def _attention(backbone: nn.Module) -> Iterator[str]:
    """Yield the names of the modules that hold queries, or queries, keys and values in one."""
    seen = set()
    for name, _ in backbone.named_modules():
        parent, _, last = name.rpartition(".")
        if last in (*QUERY, *FUSED) and last != "kv":
            # The layers of a split one stand a level deeper.
            holder = parent.rpartition(".")[0] if parent.rpartition(".")[2] in FUSED else parent
            if holder not in seen:
                seen.add(holder)
                yield holder


def _feed_forward(backbone: nn.Module, *, last: bool) -> Iterator[str]:
    for name, module in backbone.named_modules():
        if not isinstance(module, nn.Linear) or re.search(r"(^|\.)attention\.output\.dense$", name):
            continue
        for both, second in _MLP.items():
            if re.search(rf"(^|\.){both}$", name) and (not last or re.search(rf"(^|\.){second}$", name)):
                yield name
                break
