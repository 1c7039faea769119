"""Prithvi's encoder in small, and images for it."""

import torch
from torch import Tensor

from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.backbones.prithvi.vit import PrithviViT

SMALL = {"embed_dim": 32, "depth": 3, "num_heads": 4, "img_size": 64}


def small(**changes: object) -> PrithviViT:
    arguments = {"variant": "prithvi_eo_v2_300", **SMALL, **changes}
    return build_prithvi(**arguments).eval()


def image(channels: int = 6, frames: int | None = None, rows: int = 64, columns: int = 64) -> Tensor:
    shape = (2, channels, rows, columns) if frames is None else (2, channels, frames, rows, columns)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))
