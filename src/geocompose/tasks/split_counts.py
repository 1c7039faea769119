"""All that is counted of a split, tile by tile, and its scores: the same for training and evaluation."""

import numpy as np
from torch import Tensor, nn

from geocompose.imagery.samples import Target
from geocompose.scores import calibration_error, scores_of
from geocompose.tasks.calibration import TileCalibration
from geocompose.tasks.counting import TileCounts, count_tiles, predicted
from geocompose.tasks.thresholds import TileThresholds


class SplitCounts(nn.Module):
    """Counts what a model says of each tile of a split and, where labels are classes, how sure it is.

    Of two classes also by probability, so that other thresholds can be tried.
    """

    calibration: TileCalibration | None
    thresholds: TileThresholds | None

    def __init__(self, target: Target, num_tiles: int) -> None:
        super().__init__()
        self.target = target
        self.counts: TileCounts = count_tiles(target, num_tiles)
        self.calibration = TileCalibration(num_tiles, target) if target.of_classes else None
        of_two = target.kind in ("segmentation", "classification") and len(target.names) == 2
        self.thresholds = TileThresholds(num_tiles, target) if of_two else None

    def reset(self) -> None:
        """Forget what was counted."""
        self.counts.reset()
        if self.calibration is not None:
            self.calibration.reset()
        if self.thresholds is not None:
            self.thresholds.reset()

    def update(self, output: Tensor, labels: Tensor, tiles: Tensor) -> None:
        """Count a model's output for the tiles numbered `tiles` (B). labels: see `geocompose.tasks.counting.labels`."""
        self.counts.update(predicted(output, self.target), labels, tiles)
        if self.calibration is not None:
            self.calibration.update(output, labels, tiles)
        if self.thresholds is not None:
            self.thresholds.update(output, labels, tiles)

    def per_tile(self) -> np.ndarray:
        """Return the counts or sums (tiles, ...), see `geocompose.tasks.counting.count_tiles`."""
        counted: np.ndarray = self.counts.compute().cpu().numpy()
        return counted

    def calibration_per_tile(self) -> np.ndarray | None:
        """Return (tiles, bins, 3) of `geocompose.scores.CALIBRATION`; None where labels are numbers."""
        return None if self.calibration is None else self.calibration.compute().cpu().numpy()

    def thresholds_per_tile(self) -> np.ndarray | None:
        """Return (tiles, 2, bins), see `TileThresholds`; None where there are not two classes."""
        return None if self.thresholds is None else self.thresholds.compute().cpu().numpy()

    def scores(self) -> dict[str, float]:
        """Return the split's metrics by name, from what was counted over all its valid pixels or images."""
        # In numpy, as whoever reads the stored counts will sum them: to the last digit.
        found = scores_of(self.per_tile().sum(axis=0), self.target)
        bins = self.calibration_per_tile()
        return found if bins is None else found | {"ECE": calibration_error(bins.sum(axis=0))}
