"""What a masked autoencoder does with patches: which are shown, how they are cut and put together, what is predicted.

Source: arXiv 2111.06377, and the published code of Prithvi-EO, whose order of a patch's values this is.
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from geocompose.backbones.prithvi.encodings import Grid
from geocompose.errors import UserError

if TYPE_CHECKING:  # they load timm
    from geocompose.backbones.prithvi.vit import PrithviViT
    from geocompose.models.prithvi_mae.decoder import MAEDecoder

Patch = tuple[int, int, int]  # frames, rows, columns


def predict_patches(
    encoder: "PrithviViT",
    decoder: "MAEDecoder",
    frames: Tensor,
    ratio: float,
    noise: Tensor | None,
    temporal_coords: Tensor | None,
    location_coords: Tensor | None,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return the encoder's features of what it was shown, predicted patches (B, patches, values), and which were not.

    The last is (B, patches) float32: 1 for a patch that was removed.

    frames: (B, bands, T, H, W). ratio: share of the patches that are removed. noise: (B, patches), by which patches are
        ordered: those with the smallest values are kept; random where None.

    Raises:
        UserError: sizes don't fit, or coordinates are given that are not encoded.
    """
    grid = encoder.grid_of(frames)
    batch, count = frames.shape[0], math.prod(grid)
    order, places = _shuffle(batch, count, frames.device, noise)
    kept = num_kept(count, ratio)
    features = encoder(frames, temporal_coords, location_coords, kept=order[:, :kept])
    predicted: Tensor = decoder(features[-1], places, grid, temporal_coords, location_coords)
    return features, predicted, (places >= kept).to(torch.float32)


def num_kept(count: int, ratio: float) -> int:
    """Return how many of so many patches are shown where this share is removed."""
    # 10 patches at a ratio of 0.9 leave one, although 10 * (1 - 0.9) is a little less in floating point.
    return int(count * (1 - ratio) + 1e-6)


def patches_of(image: Tensor, patch: Patch) -> Tensor:
    """Return (B, patches, values) of an image (B, bands, T, H, W); a patch's values by frame, row, column, band."""
    t, p, q = patch
    split = image.unflatten(2, (-1, t)).unflatten(4, (-1, p)).unflatten(6, (-1, q))
    return split.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4).flatten(1, 3)


def image_of(patches: Tensor, grid: Grid, patch: Patch, bands: int) -> Tensor:
    """Return the image (B, bands, T, H, W) whose patches these are."""
    split = patches.unflatten(1, grid).unflatten(-1, (*patch, bands))
    return split.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _shuffle(batch: int, count: int, device: torch.device, noise: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the patches' order by noise, (B, patches), and the place of each patch in that order."""
    if noise is None:
        noise = torch.rand(batch, count, device=device)
    if noise.shape != (batch, count):
        raise UserError(f"noise must be ({batch}, {count}), a number for each patch; got {tuple(noise.shape)}.")
    order = noise.argsort(dim=1)
    return order, order.argsort(dim=1)
