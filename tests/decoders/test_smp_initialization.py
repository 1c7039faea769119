"""Fresh weights of smp's decoders, and of the heads behind them, are distributed as those of smp's own models."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.base.initialization import initialize_decoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

from geocompose.contracts.usual_head import UsualHead
from geocompose.decoders.smp.architectures import ARCHITECTURES
from geocompose.decoders.smp.decoder import SmpDecoder
from geocompose.decoders.unet import UNetDecoder
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.heads import RegressionHead, SegmentationHead
from tests.kit.decoder_cases import SMALL, WIDTHS
from tests.kit.small import stand_in

CLASSES = 3
# smp's own model of each name, as it comes but for the encoder, which is a small one. DPT's is a ViT whose class token
# is left out, which maps have not.
SOURCES: Mapping[str, Mapping[str, Any]] = {
    **{arch: {"encoder_name": "tu-test_resnet"} for arch in ARCHITECTURES},
    "DPT": {"encoder_name": "tu-test_vit", "encoder_depth": 4, "decoder_readout": "ignore", "dynamic_img_size": True},
}


def source(arch: str) -> nn.Module:
    torch.manual_seed(1)
    return getattr(smp, arch)(encoder_weights=None, in_channels=4, classes=CLASSES, **SOURCES[arch])


def fresh_decoder(arch: str, of_source: nn.Module) -> nn.Module:
    """Return our decoder for the widths that smp's has been built for."""
    widths, strides = list(of_source.encoder.out_channels), None
    if arch == "DPT":
        strides = list(of_source.encoder.output_strides)
    elif arch == "FPN":
        widths = widths[-4:]
    torch.manual_seed(2)
    return SmpDecoder(widths, arch, {}, strides)


def differences(fresh: Tensor, of_source: Tensor) -> Iterator[str]:
    """Yield what two samples of numbers differ in by more than chance allows; constants have to be the same one."""
    fresh, of_source = fresh.detach().double().flatten(), of_source.detach().double().flatten()
    count = len(of_source)
    if of_source.eq(of_source[0]).all():
        if not fresh.eq(of_source[0]).all():
            yield f"all are {of_source[0]} there"
        return
    if count < 30:
        return
    std = of_source.std()
    # Standard errors of a difference of two means, and of a logarithm of a ratio of two deviations, the distribution
    # being uniform or normal; 6 of them are passed once in 5e8.
    if (fresh.mean() - of_source.mean()).abs() > 6 * std * math.sqrt(2 / count):
        yield f"mean {fresh.mean():.2g} is {of_source.mean():.2g} there"
    if abs(math.log(fresh.std() / std)) > 6 * math.sqrt(1 / count):
        yield f"deviation {fresh.std():.3g} is {std:.3g} there"
    # No number of a uniform sample lies within 20 / count of its bound once in e^20.
    bounds = fresh.abs().max() / of_source.abs().max()
    if abs(math.log(bounds)) > 20 / count:
        yield f"bound {fresh.abs().max():.3g} is {of_source.abs().max():.3g} there"


def check_alike(fresh: Mapping[str, Tensor], of_source: Mapping[str, Tensor]) -> None:
    assert {name: value.shape for name, value in fresh.items()} == {n: v.shape for n, v in of_source.items()}
    found = {name: list(differences(value, of_source[name])) for name, value in fresh.items()}
    assert {name: listed for name, listed in found.items() if listed} == {}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_fresh_weights_of_a_decoder_and_its_head_are_distributed_as_in_smps_model(arch):
    theirs = source(arch)
    decoder = fresh_decoder(arch, theirs)
    check_alike(
        {name.removeprefix("_smp_decoder."): value for name, value in decoder.state_dict().items()},
        theirs.decoder.state_dict(),
    )
    # DPT's own head has a block of convolution, norm and dropout before its last convolution, which ours leaves out.
    last = theirs.segmentation_head.head[-1] if arch == "DPT" else theirs.segmentation_head[0]
    narrow = {"decoder_decoder_channels": [64, 32, 24, 16]} if arch in ("Unet", "UnetPlusPlus", "MAnet") else {}
    ours = behind(f"smp_{arch}", head_kernel_size=None, **narrow).head.head[-1]
    check_alike(ours.state_dict(), last.state_dict())
    assert ours.padding == last.padding


@pytest.mark.parametrize("arch", [arch for arch in ARCHITECTURES if not arch.startswith("DeepLab")])
def test_the_comparison_sees_the_start_of_torchs_own_layers(arch):
    decoder = source(arch).decoder
    fresh = {name: value.clone() for name, value in decoder.state_dict().items()}
    for module in decoder.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    with pytest.raises(AssertionError, match="deviation"):
        check_alike(decoder.state_dict(), fresh)


@pytest.mark.parametrize("arch", ["Unet", "FPN", "Linknet"])
def test_the_same_generator_gives_the_weights_that_smps_own_function_gives(arch):
    widths, strides = list(WIDTHS[: len(SMALL[arch][2])]), list(SMALL[arch][2])
    torch.manual_seed(3)
    decoder = SmpDecoder(widths, arch, SMALL[arch][1], strides)
    row = ARCHITECTURES[arch]
    torch.manual_seed(3)
    theirs = row.decoder(**row.complete(widths, strides, dict(SMALL[arch][1])))
    initialize_decoder(theirs)
    for name, value in theirs.state_dict().items():
        assert torch.equal(decoder.state_dict()[f"_smp_decoder.{name}"], value), name


def test_our_unet_begins_as_smps_function_has_it():
    torch.manual_seed(3)
    decoder = UNetDecoder([8, 12, 16], [32, 16, 8])
    torch.manual_seed(3)
    theirs = UnetDecoder(encoder_channels=[8, 8, 12, 16], decoder_channels=[32, 16, 8], n_blocks=3)
    initialize_decoder(theirs)
    for name, value in theirs.state_dict().items():
        assert torch.equal(decoder.state_dict()[f"decoder.{name}"], value), name


# Heads


def behind(decoder: str, task: str = "segmentation", **head: Any) -> nn.Module:
    torch.manual_seed(0)
    count = {"num_classes": 3} if task == "segmentation" else {"num_outputs": 3}
    return EncoderDecoderFactory((64, 64)).build_model(
        task=task, backbone=stand_in("pyramid"), decoder=decoder, necks="auto", **count, **head
    )  # fmt: skip


def kernels(head: nn.Module) -> list[tuple[int, ...]]:
    return [module.kernel_size for module in head.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize(
    ("decoder", "task", "given", "expected"),
    [
        ("smp_Unet", "segmentation", {"head_kernel_size": None}, [(3, 3)]),
        ("smp_Unet", "regression", {"head_kernel_size": None}, [(3, 3)]),
        ("smp_Unet", "segmentation", {"head_kernel_size": None, "head_channel_list": [4]}, [(3, 3), (3, 3)]),
        ("smp_Unet", "segmentation", {"head_kernel_size": 5}, [(5, 5)]),
        ("smp_Unet", "segmentation", {}, [(1, 1)]),
        ("smp_FPN", "segmentation", {"head_kernel_size": None}, [(1, 1)]),
        ("FCNDecoder", "segmentation", {"head_kernel_size": None}, [(1, 1)]),
        ("FCNDecoder", "regression", {"head_kernel_size": 3}, [(3, 3)]),
    ],
)
def test_a_null_kernel_is_that_of_the_decoders_own_library(decoder, task, given, expected):
    assert kernels(behind(decoder, task, **given).head) == expected


@pytest.mark.parametrize("size", [0, 2, 1.5, True])
@pytest.mark.parametrize("head", [SegmentationHead, RegressionHead])
def test_a_kernel_that_changes_the_maps_size_is_refused(head, size):
    with pytest.raises(UserError, match=rf"head.kernel_size must be .*; got {size}"):
        head(8, 3, kernel_size=size)


def test_a_head_behind_another_librarys_decoder_begins_as_torchs_layers_do():
    head = behind("FCNDecoder", decoder_channels=64).head.head[-1]
    fresh = nn.Conv2d(64, 3, 1)
    assert list(differences(head.weight, fresh.weight)) == []
    assert head.bias.abs().min() > 0


def test_a_head_of_the_users_keeps_its_own_start():
    class Own(nn.Conv2d):
        def __init__(self, width: int, outputs: int) -> None:
            super().__init__(width, outputs, 1)
            nn.init.constant_(self.weight, 0.5)

    assert behind("smp_Unet", head=Own).head.weight.eq(0.5).all()
    finished = nn.Conv2d(16, 3, 1)
    before = finished.weight.clone()
    assert torch.equal(behind("smp_Unet", head=finished, decoder_decoder_channels=[32, 16, 16, 16]).head.weight, before)


def test_auxiliary_heads_behind_smps_decoders_begin_as_smps_do():
    model = behind("FCNDecoder", aux_decoders=[{"name": "aux", "decoder": "smp_Unet"}])
    assert model.aux_heads["aux"][1].head[-1].bias.eq(0).all()


def test_a_decoder_that_declares_another_type_is_told():
    class Odd(nn.Module):
        usual_head = 3

        def __init__(self, channel_list: list[int]) -> None:
            super().__init__()
            self.out_channels = channel_list[-1]

        def forward(self, features: list[Tensor]) -> Tensor:
            return features[-1]

    with pytest.raises(UserError, match=r"usual_head = 3, which is not a UsualHead"):
        behind(Odd)
    assert UsualHead().kernel_size == 1
