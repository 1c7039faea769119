"""A small composition for tests of the factory: Prithvi of six blocks with a decoder of one convolution."""

from typing import Any

import torch
from torch import Tensor, nn

from geocompose.factory import EncoderDecoderFactory
from geocompose.models.encoder_decoder import EncoderDecoderModel

TINY = {"embed_dim": 32, "depth": 6, "num_heads": 4, "img_size": 64}
PYRAMID = [
    {"name": "SelectIndices", "indices": [1, 2, 4, 5]},
    {"name": "ReshapeTokensToImage"},
    {"name": "LearnedInterpolateToPyramidal"},
]


def build(**changes: Any) -> EncoderDecoderModel:
    """Return the model for 64 x 64 pixels and three classes; changes: other arguments of the factory."""
    arguments: dict[str, Any] = {
        "task": "segmentation",
        "backbone": "prithvi_eo_v2_300",
        "backbone_kwargs": TINY,
        "decoder": "FCNDecoder",
        "decoder_kwargs": {"channels": 8},
        "num_classes": 3,
    }
    return EncoderDecoderFactory((64, 64)).build_model(**{**arguments, **changes})


def logits(model: nn.Module, rows: int = 64, columns: int = 64) -> Tensor:
    """Return a model's output for one random image, the same each time."""
    model.eval()
    channels = next(child for child in model.modules() if isinstance(child, nn.Conv2d | nn.Conv3d)).in_channels
    with torch.no_grad():
        return model(torch.randn(1, channels, rows, columns, generator=torch.Generator().manual_seed(0))).output
