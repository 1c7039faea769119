"""A PEFT method of a user's own."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Nothing:
    """Adapts nothing."""

    freezes = False
    keeps_outputs_at_start = True
    mergeable = True

    def adapt(self, backbone: nn.Module) -> nn.Module:
        return backbone
