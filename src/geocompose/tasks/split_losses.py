"""The mean losses of a split, summed where the model computes: a step waits for no number."""

import torch
from torch import Tensor


class SplitLosses:
    """Losses of batches by name, each weighted by how many labels its batch has."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}

    def reset(self) -> None:
        """Forget what was added."""
        self._sums = {}

    def add(self, name: str, loss: Tensor, count: Tensor) -> None:
        """Add a batch's loss, a scalar, and its number of labels (a whole number on the same device, 0 or more)."""
        if loss.dtype not in (torch.float32, torch.float64):
            loss = loss.to(torch.get_default_dtype())
        summed, counted = self._sums.get(name, (torch.zeros_like(loss), torch.zeros_like(count)))
        self._sums[name] = (summed + torch.where(count > 0, loss * count, 0.0), counted + count)

    def means(self) -> dict[str, Tensor]:
        """Return the mean of each loss over all labels; nothing where there was no label."""
        return {name: summed / count for name, (summed, count) in self._sums.items() if int(count)}
