"""How sure a model is and how often it is right, of each tile: what the expected calibration error is computed from."""

import torch
from torch import Tensor

from geocompose.imagery.samples import Target
from geocompose.scores import CALIBRATION, CALIBRATION_BINS
from geocompose.tasks.confusion import occurrences
from geocompose.tasks.sums import TileFloats


class TileCalibration(TileFloats):
    """For each tile the (bins, 3) float64 numbers that `geocompose.scores.CALIBRATION` names, of its labelled places.

    A tile that is seen twice replaces itself.
    """

    def __init__(self, num_tiles: int, target: Target) -> None:
        super().__init__(num_tiles, CALIBRATION_BINS, len(CALIBRATION))
        self.target = target

    def update(self, output: Tensor, labels: Tensor, tiles: Tensor) -> None:
        """Count logits (B, classes, ...) against the labels of the tiles numbered `tiles` (B).

        labels: classes (B, ...); of a multilabel task 0, 1 or -1 (unknown), (B, classes), each a decision of its own.
        """
        there = self.per_tile.device
        confidence, right, known = (
            part.to(there).reshape(len(tiles), -1) for part in _decided(output, labels, self.target)
        )
        confidence = confidence.double()  # after the move: not every device has it
        place = (confidence * CALIBRATION_BINS).ceil().long().sub(1).clamp(0, CALIBRATION_BINS - 1)
        rows = torch.arange(len(tiles), device=there).unsqueeze(1) * CALIBRATION_BINS + place
        size = len(tiles) * CALIBRATION_BINS
        number = occurrences(rows, known, size)
        hits = occurrences(rows, known & right, size)
        # Not a bincount with weights, whose order of summing changes from call to call on a GPU.
        sums = [torch.where(known & (place == one), confidence, 0.0).sum(dim=1) for one in range(CALIBRATION_BINS)]
        counted = [number.view(len(tiles), -1).double(), torch.stack(sums, dim=1), hits.view(len(tiles), -1).double()]
        self.per_tile[tiles.to(there)] = torch.stack(counted, dim=-1)


def _decided(output: Tensor, labels: Tensor, target: Target) -> tuple[Tensor, Tensor, Tensor]:
    """Return how sure each decision is, whether it is right, and where there is a label, all in the labels' shape."""
    if target.kind == "multilabel":
        probability = output.float().sigmoid()
        decided = output >= 0  # as `geocompose.tasks.counting.predicted` has it
        return torch.where(decided, probability, 1 - probability), decided == (labels == 1), labels >= 0
    confidence, decided = output.float().softmax(dim=1).max(dim=1)
    return confidence, decided == labels, labels != target.ignore_index
