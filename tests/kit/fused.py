"""A transformer and a convolutional network side by side, in small."""

from typing import Any

import torch
from torch import Tensor

from geocompose.backbones.fusion.backbone import FusionBackbone, build_fusion
from geocompose.factory import EncoderDecoderFactory

S2, S1 = ["BLUE", "GREEN", "RED"], ["VV", "VH"]
PRITHVI: dict[str, Any] = {
    "name": "prithvi_eo_v2_300",
    "embed_dim": 48,
    "depth": 6,
    "num_heads": 4,
    "img_size": 32,
    "bands": S2,
}
RESNET: dict[str, Any] = {"name": "timm_test_resnet", "bands": S1}


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def fused(**changes: Any) -> FusionBackbone:
    torch.manual_seed(0)
    return build_fusion(**{"parts": {"s2": dict(PRITHVI), "s1": dict(RESNET)}, **changes})


def compose(size: tuple[int, int] = (32, 48), decoder: str = "UperNetDecoder", parts: Any = None, **more: Any) -> Any:
    torch.manual_seed(0)
    factory = EncoderDecoderFactory(size)
    backbone_kwargs = {"parts": parts or {"s2": dict(PRITHVI), "s1": dict(RESNET)}}
    return factory.build_model(
        "segmentation", "fusion", decoder, backbone_kwargs=backbone_kwargs, num_classes=2, necks="auto", **more
    )
