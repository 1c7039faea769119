"""Sums of each tile in float64, whatever the model's precision: those from which errors of numbers are scored."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torchmetrics import Metric

from geocompose.scores import SUMS


class TileFloats(Metric):
    """An array (tiles, ...) of float64 sums; its first column counts what was added up.

    A tile that is seen twice replaces itself.
    """

    full_state_update = False
    per_tile: Tensor

    def __init__(self, num_tiles: int, *shape: int) -> None:
        super().__init__()
        empty = torch.zeros(num_tiles, *shape, dtype=torch.float64)
        self.add_state("per_tile", default=empty, dist_reduce_fx=_of_who_saw_it)

    def compute(self) -> Tensor:
        """Return (tiles, ...) float64."""
        return self.per_tile

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Self:
        """Move, but stay in float64: neither a model's lower precision nor a device without it may round the sums."""
        device = fn(torch.empty(0)).device
        stay = torch.device("cpu") if device.type == "mps" else device

        def move(state: Tensor) -> Tensor:
            return state.to(stay)

        return super()._apply(move, exclude_state)  # type: ignore[return-value]


class TileSums(TileFloats):
    """For each tile the (variables, 6) float64 sums that `geocompose.scores.SUMS` names.

    A tile that is seen twice replaces itself.
    """

    def __init__(self, num_tiles: int, num_variables: int) -> None:
        super().__init__(num_tiles, num_variables, len(SUMS))

    def update(self, predicted: Tensor, labels: Tensor, tiles: Tensor) -> None:
        """Add up predictions and labels (B, variables, ...), NaN without a label, of the tiles numbered `tiles` (B)."""
        there = self.per_tile.device
        predicted, labels = (
            numbers.to(there).double().flatten(2) for numbers in _at_least_one_place(predicted, labels)
        )
        valid = ~labels.isnan()
        y = torch.where(valid, labels, 0.0)
        error = torch.where(valid, predicted - y, 0.0)
        # In the order of SUMS: n, sum y, sum y^2, sum e, sum e^2, sum |e|.
        terms = (valid.double(), y, y**2, error, error**2, error.abs())
        self.per_tile[tiles.to(there)] = torch.stack([term.sum(dim=-1) for term in terms], dim=-1)


def _at_least_one_place(*numbers: Tensor) -> list[Tensor]:
    """Return (B, variables, 1) for numbers of images (B, variables)."""
    return [number.unsqueeze(-1) if number.ndim == 2 else number for number in numbers]


def _of_who_saw_it(states: Any) -> Tensor:
    """Return each tile's sums from one of the processes (processes, tiles, ..., sums) that saw most of it."""
    seen = states[..., 0].sum(dim=-1).argmax(dim=0)
    return states[seen, torch.arange(states.shape[1], device=states.device)]
