"""How probable a model takes the second of two classes to be, by what is true: all that another threshold needs."""

import torch
from torch import Tensor
from torchmetrics import Metric

from geocompose.imagery.samples import Target
from geocompose.scores import THRESHOLD_BINS
from geocompose.tasks.confusion import occurrences


class TileThresholds(Metric):
    """For each tile (2, THRESHOLD_BINS) int64 counts: rows are the truth, columns the second class's probability.

    Column k holds probabilities from k to k + 1 hundredths; the upper half is what the model decides for the second
    class, to the last tie. A tile that is seen twice replaces itself.
    """

    full_state_update = False
    per_tile: Tensor

    def __init__(self, num_tiles: int, target: Target) -> None:
        super().__init__()
        self.target = target
        # Each process counts other tiles and has zeros for the rest, so the maximum puts them together.
        empty = torch.zeros(num_tiles, 2, THRESHOLD_BINS, dtype=torch.int64)
        self.add_state("per_tile", default=empty, dist_reduce_fx="max")

    def update(self, output: Tensor, labels: Tensor, tiles: Tensor) -> None:
        """Count logits (B, 2, ...) against labels (B, ...) of the tiles numbered `tiles` (B)."""
        there = self.per_tile.device
        output, labels = output.to(there).float(), labels.to(there)
        lead = (output[:, 1] - output[:, 0]).reshape(len(tiles), -1)
        labels = labels.reshape(len(tiles), -1)
        half = THRESHOLD_BINS // 2
        place = (lead.double().sigmoid() * THRESHOLD_BINS).long()
        place = torch.where(lead > 0, place.clamp(half, THRESHOLD_BINS - 1), place.clamp(0, half - 1))
        known = labels != self.target.ignore_index
        row = torch.arange(len(tiles), device=there).unsqueeze(1) * 2 + torch.where(known, labels, 0)
        counted = occurrences(row * THRESHOLD_BINS + place, known, len(tiles) * 2 * THRESHOLD_BINS)
        self.per_tile[tiles.to(there)] = counted.view(len(tiles), 2, THRESHOLD_BINS)

    def compute(self) -> Tensor:
        """Return (tiles, 2, THRESHOLD_BINS) int64."""
        return self.per_tile
