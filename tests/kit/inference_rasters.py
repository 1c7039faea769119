"""Rasters to predict, small models to predict them with, and a call with all that most tests do not ask about."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.transform import Affine

from geocompose.imagery.samples import Target
from geocompose.inference.raster import MapSummary, predict_raster
from geocompose.inference.reading import Reading

UTM = rasterio.CRS.from_epsg(32630)
NORTH_UP = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 4_200_000.0)


def write(path: Path, pixels: np.ndarray, names: list[str] | None = None, **profile: Any) -> Path:
    """Write (bands, h, w) as a GeoTIFF with band descriptions."""
    bands, height, width = pixels.shape
    defaults: dict[str, Any] = {"crs": UTM, "transform": NORTH_UP}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=bands,
        dtype=pixels.dtype,
        **{**defaults, **profile},
    ) as dataset:
        dataset.write(pixels)
        for index, name in enumerate(names or [], 1):
            dataset.set_band_description(index, name)
    return path


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


def classes(*names: str) -> Target:
    return Target("segmentation", names)


def variables(*names: str, mean: float = 0.0, std: float = 1.0) -> Target:
    return Target("regression", names, mean=(mean,) * len(names), std=(std,) * len(names))


def reading(changed: dict[str, Any], *bands: str) -> Reading:
    """Take what `changed` says of reading out of it; the rest is not normalised, and `bands` where it says none."""
    own = {field.name: changed.pop(field.name) for field in dataclasses.fields(Reading) if field.name in changed}
    own.setdefault("bands", list(bands))
    own.setdefault("mean", [0.0] * len(own["bands"]))
    own.setdefault("std", [1.0] * len(own["bands"]))
    return Reading(**own)


def predict(model: Callable[[torch.Tensor], torch.Tensor], source: Path, out: Path, **changed: Any) -> MapSummary:
    """Predict with what most tests don't ask about filled in; `names` are those of classes."""
    names = changed.pop("names", ["low", "high"])
    arguments: dict[str, Any] = {
        "target": classes(*names),
        "content": "classes",
        "reading": reading(changed, "RED"),
        "tile_px": 32,
        "overlap_px": 8,
        "batch_size": 3,
    }
    return predict_raster(model, source, out, **{**arguments, **changed})


def above_zero(pixels: torch.Tensor) -> torch.Tensor:
    """Logits of two classes: the first band is above 0, or not."""
    return torch.cat([-pixels[:, :1], pixels[:, :1]], dim=1)


def first_band(pixels: torch.Tensor) -> torch.Tensor:
    """A regression of one variable: the first band itself."""
    return pixels[:, 0]


def one_hot_of_first_band(num_classes: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a pointwise model whose class is the value of the first band."""

    def logits(pixels: torch.Tensor) -> torch.Tensor:
        indices = torch.arange(num_classes).view(1, -1, 1, 1)
        return -((pixels[:, :1] - indices) ** 2)

    return logits


def noise(path: Path) -> Path:
    """Write a scene of one band, 70 x 50 pixels around 0, such as most tests predict."""
    pixels = np.random.default_rng(0).normal(size=(1, 70, 50)).astype("float32")
    return write(path, pixels, ["RED"])
