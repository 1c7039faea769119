"""How a backbone learns: all of it, none of it, or by small parts added to it. The options of the group `peft`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn

from geocompose.errors import UserError
from geocompose.peft.library import Peft


@runtime_checkable
class PeftMethod(Protocol):
    """What the factory asks of a method, and what the method promises.

    freezes: whether the backbone's own parameters stop learning. keeps_outputs_at_start: whether the adapted backbone
    returns what it did before, up to rounding, until something is learned. mergeable: whether what is learned can be
    put into the backbone's own layers afterwards, by `merge_and_unload` of PEFT's model.
    """

    @property
    def freezes(self) -> bool: ...  # noqa: D102 - see above

    @property
    def keeps_outputs_at_start(self) -> bool: ...  # noqa: D102

    @property
    def mergeable(self) -> bool: ...  # noqa: D102

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone as the method changes it; the one given may be changed."""


@dataclass(frozen=True)
class FullFineTuning:
    """No method: everything learns that is not frozen otherwise."""

    method: None = None

    freezes = False
    keeps_outputs_at_start = True
    mergeable = True  # nothing is added

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone as it is."""
        return backbone


@dataclass(frozen=True)
class Frozen:
    """The backbone does not learn, nor do its statistics move."""

    freezes = True
    keeps_outputs_at_start = True
    mergeable = True  # nothing is added

    def adapt(self, backbone: nn.Module) -> nn.Module:
        """Return the backbone as it is; the model freezes it."""
        return backbone


def peft_method(given: object) -> PeftMethod:
    """Return the method that `build_model(peft_config=...)` means: null, TerraTorch's mapping, or an option of ours.

    Raises:
        UserError: it is something else.
    """
    if given is None:
        return FullFineTuning()
    if isinstance(given, Mapping):
        return Peft.from_mapping(given)
    if isinstance(given, PeftMethod):
        return given
    raise UserError(
        "peft_config must be null, or a mapping such as {method: LORA, replace_qkv: qkv, peft_config_kwargs: {...}}; "
        f"got {given!r}."
    )
