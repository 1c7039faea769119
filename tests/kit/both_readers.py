"""The two readers of rasters, training's and prediction's, called alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pytest

from geocompose.data.labels.classification import ClassificationLabels
from geocompose.data.rasters.label import ImageLabel
from geocompose.data.rasters.scenes import SceneRasters
from geocompose.data.statistics import scan
from geocompose.data.tiling import ImageTiling
from geocompose.data.window import Region, Window
from geocompose.imagery.bands import positions
from geocompose.inference.reading import FurtherRaster, Reading

TWO = ["RED", "GREEN"]


class Seen(NamedTuple):
    """Pixels (bands, [frames,] height, width), not normalised, and which are valid (height, width)."""

    pixels: np.ndarray
    valid: np.ndarray


class Read(Protocol):
    """Reads a whole raster as far as the first batch, all checks included."""

    def __call__(
        self,
        path: Path | str,
        bands: Sequence[str] = TWO,
        *,
        names: list[str] | None = None,
        more: Sequence[Path] = (),
        num_frames: int = 1,
        nodata: float | None = None,
    ) -> Seen: ...


def by_training(path, bands=TWO, *, names=None, more=(), num_frames=1, nodata=None):
    """All of its checks: headers, then every pixel."""
    rasters = SceneRasters(names, nodata, num_frames, [{"images": "*"} for _ in more])
    scenes = rasters.scenes([(str(path), path, ImageLabel(np.array(0)))], [[one] for one in more])
    whole = Region(0, Window(0, 0, scenes[0].height, scenes[0].width))
    places = positions(bands, scenes[0].band_names, where=str(path))
    regions = {split: [whole] for split in ("train", "val", "test")}
    scan(scenes, [places], regions, ClassificationLabels(["a", "b"]), ImageTiling(512, "refuse"))
    return Seen(*scenes[0].read_image(whole.window, places))


def by_prediction(path, bands=TWO, *, names=None, more=(), num_frames=1, nodata=None):
    reading = Reading(
        bands=bands,
        mean=[0.0] * len(bands),
        std=[1.0] * len(bands),
        band_names=names,
        nodata=nodata,
        num_frames=num_frames,
    )
    seen = reading.open(path, [FurtherRaster(one) for one in more])
    return Seen(*seen.read(Window(0, 0, seen.image.height, seen.image.width)))


BOTH = pytest.mark.parametrize("read", [by_training, by_prediction])
