"""Which layers a method adapts, by what its option says: by family, by role, or by pattern."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from geocompose.errors import UserError
from geocompose.peft.qkv import split_qkv
from geocompose.peft.roles import in_roles, roles_of
from geocompose.peft.targets import exactly, family_targets


def chosen_layers(
    backbone: nn.Module,
    roles: Sequence[str] | None,
    target_modules: Sequence[str] | None,
    replace_qkv: str | None,
    by_family: Sequence[str] | None = None,
) -> list[str] | str:
    """Return the layers to adapt, as PEFT's target_modules; fused queries, keys and values are split first.

    roles: see `geocompose.peft.roles`. target_modules: the last parts of modules' names. replace_qkv: with
    target_modules, the name of fused layers to split. by_family: the roles that are adapted in a transformer where
    none of these is given; None, and in a convolutional network, what `family_targets` says.

    Raises:
        UserError: keys that exclude each other, or layers that are not there.
    """
    if roles is not None and target_modules is not None:
        raise UserError("peft.roles and peft.target_modules both say what is adapted. Give one of them.")
    if target_modules is None:
        if replace_qkv is not None:
            raise UserError(
                "peft.replace_qkv goes with peft.target_modules; without them fused layers are split anyway."
            )
        if roles is not None:
            return exactly(backbone, in_roles(backbone, roles))
        found = family_targets(backbone)
        attention = any(roles_of(backbone)[role] for role in ("query", "value"))
        return exactly(backbone, in_roles(backbone, by_family)) if by_family and attention else found
    if replace_qkv is not None:
        split_qkv(backbone, replace_qkv)
    return list(target_modules)


def check_kwargs(kwargs: Mapping[str, Any], own: Mapping[str, str]) -> None:
    """Refuse an argument of PEFT that has a key of its own.

    own: the keys, by the arguments' names.

    Raises:
        UserError: names the key.
    """
    for name in kwargs:
        if name in own:
            raise UserError(f"peft.kwargs has {name!r}, which has its own key: write peft.{own[name]}.")
