"""No labels: what is to be predicted is the image itself, wherever it has data."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, cast

import numpy as np

from geocompose.data.given_numbers import BandNumbers
from geocompose.data.labels.base import Labels
from geocompose.data.labels.tally import Tally
from geocompose.imagery.samples import Target


class PixelTally(Tally):
    """Counts the pixels that a reconstruction is compared with."""

    def __init__(self) -> None:
        self._there = 0

    def add(self, label: np.ndarray) -> None:
        """Take in a plane (1, ...): 0, or NaN where the image has no data."""
        self._there += int((~np.isnan(label)).sum())

    @property
    def num_labelled(self) -> int:
        """How many pixels have data."""
        return self._there

    def describe(self) -> dict[str, Any]:
        """Return how many pixels have data."""
        return {"labelled_pixels": self._there}


class ReconstructionLabels(Labels):
    """A plane, float32 (1, height, width), that only says where an image has data: 0 there, NaN elsewhere.

    Batches hold it as (B, height, width). The target's names are the bands that are read.
    """

    key: ClassVar[Literal["mask", "label"]] = "mask"

    def __init__(self) -> None:
        self.target = Target("reconstruction", ())

    def tally(self) -> PixelTally:
        """Return the empty count of a split's pixels."""
        return PixelTally()

    def without(self, label: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Return the plane with NaN where the image is not valid."""
        return label if valid.all() else np.where(valid, label, np.float32(np.nan))

    def padded(self, label: np.ndarray, below: int, right: int) -> np.ndarray:
        """Return the plane with NaN in new rows and columns."""
        return np.pad(label, ((0, 0), (0, below), (0, right)), constant_values=np.nan)

    def as_sample(self, label: np.ndarray) -> np.ndarray:
        """Return (height, width)."""
        return label[0]

    def of_images(
        self,
        target: Target,
        bands: Sequence[str],
        mean: BandNumbers,
        std: BandNumbers,
        deviation: Sequence[float],
    ) -> Target:
        """Return the target with its bands, and with how they are normalised: what is predicted is normalised alike."""
        # Images of several frames are refused, so that each band has one number.
        centre, spread = tuple(cast(Sequence[float], mean)), tuple(cast(Sequence[float], std))
        return replace(target.of_bands(bands), mean=centre, std=spread, deviation=tuple(deviation))
