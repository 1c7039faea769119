"""How much of a backbone learns, as the terminal is told."""

import logging

from torch import nn

log = logging.getLogger("geocompose")


def say_share(method: str, what: str, learning: list[nn.Parameter], backbone: nn.Module) -> None:
    """Say what of a backbone a method trains, and how many of its parameters that is."""
    number = sum(parameter.numel() for parameter in learning)
    every = sum(parameter.numel() for parameter in backbone.parameters())
    log.info(
        "peft=%s: %s learn, %s of %s parameters of the backbone (%.2f %%).",
        method, what, f"{number:,}", f"{every:,}", 100 * number / max(1, every),
    )  # fmt: skip
