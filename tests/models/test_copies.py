"""How often a forward copies a tensor, as the profiler counts it: each copy has a reason here, and no other is made."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from geocompose.factory import EncoderDecoderFactory


def built(backbone: str, decoder: str, size: int, **arguments: object) -> nn.Module:
    """Return a segmentation model with planned necks."""
    factory = EncoderDecoderFactory(image_size=(size, size))
    return factory.build_model("segmentation", backbone, decoder, num_classes=4, necks="auto", **arguments).eval()


# Copies at most, by the operator that was called, on a processor. Of all: `linear` begins with a copy of its bias, four
# in each of twelve blocks; a transposed convolution copies a map of another layout, or its kernel, for torch's kernel.
BLOCKS = {"linear": 48}
COMPOSITIONS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, int]]] = {
    "Prithvi with UPerNet": (
        lambda: built("prithvi_eo_v2_tiny_tl", "UperNetDecoder", 64, decoder_channels=32, decoder_joining="small"),
        (2, 6, 64, 64),
        BLOCKS
        | {
            "conv_transpose2d": 5,  # of the necks: maps that are views of tokens
            "max_pool2d": 1,  # the same, once for each that reads it
            "adaptive_avg_pool2d": 1,
            "conv2d": 6,  # kernels cut out of the last convolution's, and one map that is a view of tokens
            "upsample_bilinear2d": 14,  # in torch's kernel: its input and its output, of maps and of three operators
            "pad": 3,  # three operators
            "flatten": 9,  # three operators, three parts of the kernel, three maps widened
            "matmul": 1,  # the first of these maps, a view of another layout
        },
    ),
    "ResNet18 with smp's U-Net": (
        lambda: built("timm_resnet18", "smp_Unet", 64, backbone_in_chans=6),
        (2, 6, 64, 64),
        {
            "upsample_nearest2d": 15,  # three in torch's kernel for each of five stages
            "conv2d": 1,  # with one thread
        },
    ),
    "Prithvi of three frames with FCN": (
        lambda: built("prithvi_eo_v2_tiny_tl", "FCNDecoder", 64, backbone_num_frames=3, decoder_channels=32),
        (2, 6, 3, 64, 64),
        BLOCKS
        | {
            "reshape": 1,  # frames go before channels
            "conv_transpose2d": 4,
            "layer_norm": 1,  # the first stage's map is in the plain layout, later ones in the norm's (channels last)
            "conv2d": 4,  # the kernel of each stage, to the layout of its map
        },
    ),
    "ViT with a linear decoder": (
        lambda: built("timm_vit_tiny_patch16_224", "LinearDecoder", 224, backbone_in_chans=6),
        (1, 6, 224, 224),
        BLOCKS
        | {
            "contiguous": 4,  # timm makes maps of four layers' tokens
            "conv_transpose2d": 1,
        },
    ),
}


def copies(model: nn.Module, shape: tuple[int, ...]) -> Counter[str]:
    """Return how many copies a forward makes, by the operator that was called from Python."""
    image = torch.randn(shape)
    with torch.inference_mode():
        model(image)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            model(image)
    found: Counter[str] = Counter()
    for event in profiled.events():
        if event.name == "aten::copy_":
            outer = event
            while outer.cpu_parent is not None and outer.cpu_parent.name.startswith("aten::"):
                outer = outer.cpu_parent
            found[outer.name.removeprefix("aten::")] += 1
    return found


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_a_forward_copies_no_more_than_it_has_a_reason_for(composition):
    make, shape, allowed = COMPOSITIONS[composition]
    found = copies(make(), shape)
    assert {name: count for name, count in found.items() if count > allowed.get(name, 0)} == {}


def test_a_copy_is_seen():
    class Turned(nn.Module):
        def forward(self, image):
            return image.transpose(2, 3).contiguous().clone()

    assert sum(copies(Turned(), (1, 3, 4, 4)).values()) == 2
