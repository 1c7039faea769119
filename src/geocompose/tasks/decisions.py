"""The decisions for and against each class of each image: every image counts once, whatever the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric


class TileDecisions(Metric):
    """One (classes, 2, 2) table per tile, rows truth (no, yes), columns decision (no, yes).

    A tile that is seen twice replaces itself.
    """

    full_state_update = False
    per_tile: Tensor

    def __init__(self, num_tiles: int, num_classes: int) -> None:
        super().__init__()
        empty = torch.zeros(num_tiles, num_classes, 2, 2, dtype=torch.int64)
        # Each process counts other tiles and has zeros for the rest, so the maximum puts them together.
        self.add_state("per_tile", default=empty, dist_reduce_fx="max")

    def update(self, decided: Tensor, labels: Tensor, tiles: Tensor) -> None:
        """Count decisions (B, classes) of 0 and 1 against labels of 0, 1 or -1 (unknown) of the tiles `tiles` (B)."""
        known = labels >= 0
        # Cell 2 * truth + decision of a 2 x 2 table, unrolled.
        cells = F.one_hot(labels.clamp(min=0) * 2 + decided.long(), 4) * known.unsqueeze(-1)
        self.per_tile[tiles] = cells.view(*labels.shape, 2, 2)

    def compute(self) -> Tensor:
        """Return (tiles, classes, 2, 2) int64."""
        return self.per_tile
