"""Samples of a split as images that can be looked at."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from geocompose.data.module import SceneData
from geocompose.data.normalization import beside
from geocompose.figures.display import display_image, how_shown

_SEEN = "seen"


class Shown(TypedDict):
    """A sample as a picture: `image` (3, H, W) in 0 ... 1, and `nodata` (H, W), True where it holds no data."""

    image: np.ndarray
    nodata: np.ndarray


def batch_of(data: SceneData, split: str, chosen: Sequence[int]) -> dict[str, Tensor]:
    """Return the chosen samples of a split as one batch, with where their images hold data as `seen`."""
    dataset = data.tiles_of(split, training=False)
    samples = [{**dataset[index], _SEEN: torch.from_numpy(dataset.seen(index))} for index in chosen]
    batch: dict[str, Tensor] = default_collate(samples)
    return batch


def images_of(batch: Mapping[str, Tensor], data: SceneData) -> list[Shown]:
    """Return the images of a batch that `batch_of` has made; of several frames the first."""
    mean, std = (
        beside(np.asarray(numbers, dtype=np.float32), batch["image"].ndim - 1) for numbers in (data.mean, data.std)
    )
    raw = [image.numpy() * std + mean for image in batch["image"]]
    shown = [image[:, 0] if image.ndim == 4 else image for image in raw]
    return [
        {"image": display_image(image, data.bands, seen), "nodata": ~seen}
        for image, seen in zip(shown, batch[_SEEN].numpy(), strict=True)
    ]


def how_images_are_shown(data: SceneData) -> str:
    """Return which bands `images_of` shows, and how they are stretched."""
    return how_shown(data.bands, data.inputs.num_frames)


def shown_images(data: SceneData, split: str, chosen: Sequence[int]) -> list[np.ndarray]:
    """Return the images of the chosen samples of a split; see `images_of`."""
    return [shown["image"] for shown in images_of(batch_of(data, split, chosen), data)] if chosen else []
