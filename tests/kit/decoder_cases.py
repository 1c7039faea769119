"""One case per decoder with few channels, and features that it reads."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.registry import DECODER_REGISTRY

PYRAMID = (4, 8, 16, 32)
WITH_INPUT = (1, *PYRAMID)
WITH_TWO = (1, 1, *PYRAMID)
ONE_SCALE = (16, 16, 16, 16)


# Narrow ones: what they are given, and at which stride their output is.
Case = tuple[str, dict[str, Any], tuple[int, ...], float]
SMALL: Mapping[str, Case] = {
    "FCNDecoder": ("FCNDecoder", {"channels": 8, "num_convs": 2}, ONE_SCALE, 4),
    "UNetDecoder": ("UNetDecoder", {"channels": [32, 16, 16, 8]}, PYRAMID, 4),
    "UperNetDecoder": ("UperNetDecoder", {"channels": 8}, PYRAMID, 4),
    "UperNetDecoder-scaling": ("UperNetDecoder", {"channels": 8, "scale_modules": True}, ONE_SCALE, 4),
    "LinearDecoder": ("LinearDecoder", {"num_classes": 3, "upsampling_size": 16}, ONE_SCALE, 1),
    "ASPPDecoder": ("ASPPDecoder", {"channels": 8}, PYRAMID, 32),
    "ASPPSegmentationHead": ("ASPPSegmentationHead", {"channels": 8, "num_classes": 3}, ONE_SCALE, 16),
    "ASPPRegressionHead": ("ASPPRegressionHead", {"channels": 8, "num_classes": 2}, ONE_SCALE, 16),
    "MLPDecoder": ("MLPDecoder", {}, PYRAMID, 4),
    "IdentityDecoder": ("IdentityDecoder", {}, PYRAMID, 32),
    "Unet": ("smp_Unet", {"decoder_channels": [16, 8, 8, 4]}, WITH_INPUT, 1),
    "UnetPlusPlus": ("smp_UnetPlusPlus", {"decoder_channels": [16, 8, 8, 4]}, WITH_INPUT, 2),
    "MAnet": ("smp_MAnet", {"decoder_channels": [16, 8, 8, 4], "pab_channels": 4}, WITH_INPUT, 2),
    "Linknet": ("smp_Linknet", {"prefinal_channels": 8}, WITH_INPUT, 2),
    "FPN": ("smp_FPN", {"pyramid_channels": 8, "segmentation_channels": 64}, PYRAMID, 4),
    "PSPNet": ("smp_PSPNet", {"out_channels": 8}, PYRAMID, 32),
    "PAN": ("smp_PAN", {"decoder_channels": 8}, WITH_TWO, 4),
    "DeepLabV3": ("smp_DeepLabV3", {"out_channels": 8}, ONE_SCALE, 16),
    "DeepLabV3Plus": ("smp_DeepLabV3Plus", {"out_channels": 8}, (2, *PYRAMID), 8),
    "UPerNet": ("smp_UPerNet", {"decoder_channels": 8}, WITH_TWO, 4),
    "Segformer": ("smp_Segformer", {"segmentation_channels": 8}, WITH_INPUT, 4),
    "DPT": ("smp_DPT", {"fusion_channels": 8, "intermediate_channels": [8, 8, 8, 8]}, ONE_SCALE, 2),
    "DPT-pyramid": ("smp_DPT", {"fusion_channels": 8, "intermediate_channels": [8, 8, 8, 8]}, PYRAMID, 2),
}  # fmt: skip


WIDTHS = (8, 12, 16, 32, 24, 16)


def build(case: str) -> nn.Module:
    name, arguments, strides, _ = SMALL[case]
    torch.manual_seed(0)
    widths = list(WIDTHS[: len(strides)])
    if name.startswith("smp_"):
        return DECODER_REGISTRY.build(name, widths, kwargs=arguments, strides=list(strides))
    return DECODER_REGISTRY.build(name, widths, **arguments)


def shake(module: nn.Module) -> nn.Module:
    """Give every weight and statistic another value, so that nothing agrees because it is 0 or 1."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.copy_(value + 0.2 * torch.rand(value.shape, generator=generator))
    return module


def features(case: str, rows: int, columns: int, batch: int = 2) -> list[Tensor]:
    _, _, strides, _ = SMALL[case]
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, width, rows // stride, columns // stride, generator=generator)
        for width, stride in zip(WIDTHS, strides, strict=False)
    ]
