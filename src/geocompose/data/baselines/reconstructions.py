"""The baseline of reconstructions: what is hidden is the mean of its band."""

import numpy as np

from geocompose import scores
from geocompose.data.baselines.counted import Counted
from geocompose.data.baselines.raw_values import read_filled
from geocompose.data.baselines.samples import LabelledSamples
from geocompose.data.statistics import CELL_PX
from geocompose.data.window import grid


def constant(data: LabelledSamples, max_pixels: int) -> Counted:
    """Sum up the errors of each band's training mean at every test pixel, of which a model is asked those it hides."""
    mean = data.statistics.mean
    per_tile = np.zeros((len(data.tile_windows("test")), len(mean), len(scores.SUMS)))
    for place, tile in enumerate(data.tile_windows("test")):
        for cell in grid(tile, CELL_PX):
            image, valid = read_filled(data.scenes[cell.scene], cell.window, data.selected_places(cell.scene))
            truth = image[:, valid].T
            per_tile[place] += scores.regression_sums(truth, np.tile(np.array(mean), (len(truth), 1)))
    named = ", ".join(f"{name} {value:.4g}" for name, value in zip(data.target.names, mean, strict=True))
    return Counted("constant", f"the mean of each band's training pixels, at all test pixels: {named}", per_tile)
