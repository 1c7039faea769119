"""Small models whose backbones are adapted."""

from typing import Any

import torch
from torch import Tensor, nn

from geocompose.factory import EncoderDecoderFactory
from geocompose.models import PixelWiseModel

PRITHVI: dict[str, Any] = {
    "backbone": "prithvi_eo_v2_300",
    "backbone_embed_dim": 48,
    "backbone_depth": 4,
    "backbone_num_heads": 4,
    "backbone_img_size": 64,
}


TIMM = {
    name: {"backbone": f"timm_{name}", "backbone_in_chans": 6} for name in ("test_resnet", "test_convnext", "test_vit")
}


FAMILIES = {"prithvi": PRITHVI, **TIMM}
QV_MLP = ["qkv.q_linear", "qkv.v_linear", "mlp.fc1", "mlp.fc2"]


def build(family: str = "prithvi", peft: object = None, **more: Any) -> PixelWiseModel:
    torch.manual_seed(0)
    model = EncoderDecoderFactory((64, 64)).build_model(
        task="segmentation",
        decoder="FCNDecoder",
        decoder_channels=8,
        decoder_num_convs=1,
        num_classes=2,
        necks="auto",
        peft_config=peft,
        **FAMILIES[family],
        **more,
    )
    assert isinstance(model, PixelWiseModel)
    return model


def lora(targets: object = None, replace_qkv: object = "qkv", method: object = "LORA", **kwargs: Any) -> dict[str, Any]:
    arguments = {"target_modules": QV_MLP if targets is None else targets, "r": 4, **kwargs}
    return {"method": method, "replace_qkv": replace_qkv, "peft_config_kwargs": arguments}


def learning(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def image() -> Tensor:
    return torch.randn(2, 6, 64, 64, generator=torch.Generator().manual_seed(0))


def with_noise(model: nn.Module) -> nn.Module:
    """Let everything differ from what it starts with, so that an adapter does something."""
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in model.parameters():
            value += 0.03 * torch.randn(value.shape, generator=draw)
    return model.eval()
