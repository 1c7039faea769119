"""Adapters of any method of the library PEFT, by its name."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from geocompose.errors import UserError, at_least
from geocompose.peft.chosen import check_kwargs, chosen_layers
from geocompose.peft.library import (
    adapted,
    arguments_of,
    check_arguments,
    keeps_outputs_at_start,
    mergeable,
    refuse_adapted,
)
from geocompose.peft.roles import roles_of
from geocompose.peft.targets import matched

# What a method adapts in a transformer where its option doesn't say: IA3 scales keys, values and what enters the last
# layer of the feed-forward part (arXiv 2205.05638). The others adapt what LoRA does.
_BY_FAMILY = {"IA3": ("key", "value", "mlp_out")}


@dataclass(frozen=True)
class Adapters:
    """A method of the library PEFT; the backbone itself does not learn.

    method: PEFT's name of it, such as VERA. r: its rank; null for methods without one, or for PEFT's default.
    roles, target_modules, replace_qkv: which layers are adapted, as for LoRA (`geocompose.peft.lora.Lora`).
    kwargs: further arguments of the method's configuration in PEFT, such as {oft_block_size: 8}.
    """

    method: str
    r: int | None = None
    roles: list[str] | None = None
    target_modules: list[str] | None = None
    replace_qkv: str | None = None
    kwargs: dict[str, object] = field(default_factory=dict)

    freezes = True

    @property
    def keeps_outputs_at_start(self) -> bool:
        """Whether the adapted backbone returns what it did before, until something is learned."""
        return keeps_outputs_at_start(self.method, self._arguments())

    @property
    def mergeable(self) -> bool:
        """Whether what was learned can be merged into the layers of most backbones."""
        return mergeable(self.method)

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone within PEFT's model.

        Raises:
            UserError: an unknown method or argument, numbers out of range, or targets that are not there.
        """
        refuse_adapted(backbone)
        known = arguments_of(self.method)
        check_kwargs(self.kwargs, {"r": "r", "target_modules": "target_modules"})
        if self.r is not None:
            at_least("peft.r", self.r, 1)
            if "r" not in known:
                raise UserError(f"PEFT's {self.method.upper()} has no rank: leave peft.r null; got {self.r}.")
        check_arguments(self.method, self.kwargs, known)
        name = self.method.upper()
        layers = chosen_layers(
            backbone, self.roles, self.target_modules, self.replace_qkv, by_family=_BY_FAMILY.get(name)
        )
        arguments = {**self._arguments(), "target_modules": layers}
        if name == "IA3" and "feedforward_modules" not in arguments and self.target_modules is None:
            # IA3 scales what enters the last layer of an MLP, and what leaves the others.
            chosen, entered = matched(backbone, layers), roles_of(backbone)["mlp_out"]
            arguments["feedforward_modules"] = [layer for layer in chosen if layer in entered]
        return adapted(backbone, self.method, arguments)

    def _arguments(self) -> dict[str, Any]:
        return {**({} if self.r is None else {"r": self.r}), **self.kwargs}
