"""What of a backbone follows the course of its training, beside the optimizer: AdaLoRA's ranks."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Schedule(Protocol):
    """Changes an encoder as its training goes on. The encoder has it as its attribute `schedule`."""

    def begin(self, encoder: nn.Module, num_steps: int) -> None:
        """Plan for so many optimizer steps."""

    def penalty(self, encoder: nn.Module) -> Tensor:
        """Return what the training adds to each batch's loss, a number."""

    def after_step(self, encoder: nn.Module, step: int) -> None:
        """Change the encoder after an optimizer step, while its gradients are there; the first step is 1."""

    def state(self, encoder: nn.Module) -> dict[str, Any]:
        """Return what a resumed training has to know, beside the encoder's weights."""

    def resume(self, encoder: nn.Module, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""


def schedule_of(encoder: nn.Module) -> Schedule | None:
    """Return an encoder's schedule; None for most."""
    found = getattr(encoder, "schedule", None)
    return found if isinstance(found, Schedule) else None
