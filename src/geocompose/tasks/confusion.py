"""The confusion matrix of each tile: every valid pixel or image counts once, whatever the batch."""

import torch
from torch import Tensor
from torchmetrics import Metric


def occurrences(numbers: Tensor, where: Tensor, size: int) -> Tensor:
    """Return how often each of 0 to size - 1 is among `numbers` (int64) where `where` is true: (size) int64.

    Not `bincount` of the numbers chosen: an accelerator would be waited for, to learn how many there are.
    """
    chosen = torch.where(where, numbers, size).flatten()  # the rest is counted in a last place, and left out
    counts = torch.zeros(size + 1, dtype=torch.int64, device=numbers.device)
    return counts.scatter_add_(0, chosen, torch.ones_like(chosen))[:size]


class TileConfusion(Metric):
    """One (classes, classes) matrix per tile, rows truth, columns prediction.

    A tile that is seen twice, as a distributed sampler does to fill its last batch, replaces itself.
    """

    full_state_update = False
    per_tile: Tensor

    def __init__(self, num_tiles: int, num_classes: int, ignore_index: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        empty = torch.zeros(num_tiles, num_classes, num_classes, dtype=torch.int64)
        # Each process counts other tiles and has zeros for the rest, so the maximum puts them together.
        self.add_state("per_tile", default=empty, dist_reduce_fx="max")

    def update(self, predicted: Tensor, labels: Tensor, tiles: Tensor) -> None:
        """Count predicted classes (B, H, W) or (B) against labels of that shape, of the tiles numbered `tiles` (B)."""
        classes = self.num_classes
        valid = labels != self.ignore_index
        # All matrices of the batch at once: a pixel's number is (place in the batch, truth, prediction).
        place = torch.arange(len(tiles), device=labels.device).view(-1, *[1] * (labels.ndim - 1)).expand_as(labels)
        cells = (place * classes + labels) * classes + predicted
        counts = occurrences(cells, valid, len(tiles) * classes**2)
        self.per_tile[tiles] = counts.view(-1, classes, classes)

    def compute(self) -> Tensor:
        """Return (tiles, classes, classes) int64."""
        return self.per_tile
