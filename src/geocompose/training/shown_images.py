"""Samples of a split as images that can be looked at."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor
from torch.utils.data import default_collate

from geocompose.data.module import SceneData
from geocompose.figures.display import display_image


def batch_of(data: SceneData, split: str, chosen: Sequence[int]) -> dict[str, Tensor]:
    """Return the chosen samples of a split as one batch."""
    dataset = data.in_order(split).dataset
    batch: dict[str, Tensor] = default_collate([dataset[index] for index in chosen])
    return batch


def images_of(batch: Mapping[str, Tensor], data: SceneData) -> list[np.ndarray]:
    """Return the images of a batch, (3, H, W) in 0 ... 1 each; of several frames the first."""
    mean, std = (np.asarray(values, dtype=np.float32).reshape(-1, 1, 1) for values in (data.mean, data.std))
    shown = batch["image"][:, :, 0] if batch["image"].ndim == 5 else batch["image"]
    return [display_image(image.numpy() * std + mean, data.bands) for image in shown]


def shown_images(data: SceneData, split: str, chosen: Sequence[int]) -> list[np.ndarray]:
    """Return the images of the chosen samples of a split; see `images_of`."""
    return images_of(batch_of(data, split, chosen), data) if chosen else []
