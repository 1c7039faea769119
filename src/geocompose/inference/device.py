"""Where inference runs."""

import torch


def best_device() -> torch.device:
    """Return the accelerator if there is one, else the CPU."""
    return (
        torch.accelerator.current_accelerator() or torch.device("cpu")
        if torch.accelerator.is_available()
        else torch.device("cpu")
    )
