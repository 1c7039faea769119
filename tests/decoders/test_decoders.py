"""Decoders alone, by their definitions, and what the factory makes of them."""

import copy
import pickle
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.contracts.needs import Needs, needs_of
from geocompose.decoders.aspp import ASPPDecoder, ASPPRegressionHead, ASPPSegmentationHead
from geocompose.decoders.identity import IdentityDecoder
from geocompose.decoders.linear import LinearDecoder
from geocompose.decoders.mlp import ACTIVATIONS, MLPDecoder
from geocompose.decoders.smp.architectures import ARCHITECTURES
from geocompose.decoders.smp.decoder import SmpDecoder, SmpSource
from geocompose.decoders.unet import UNetDecoder
from geocompose.decoders.upernet import UperNetDecoder
from geocompose.errors import UserError
from geocompose.necks.pyramid import LearnedInterpolateToPyramidal
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
SIZES = [(64, 64), (64, 160), (160, 64), (96, 32)]  # (96, 32): 6 x 2 tokens and 3 x 1 cells


def build(case: str) -> nn.Module:
    name, arguments, strides, _ = SMALL[case]
    torch.manual_seed(0)
    widths = list(WIDTHS[: len(strides)])
    if name.startswith("smp_"):
        return DECODER_REGISTRY.build(name, widths, kwargs=arguments, strides=list(strides))
    return DECODER_REGISTRY.build(name, widths, **arguments)


def features(case: str, rows: int, columns: int, batch: int = 2) -> list[Tensor]:
    _, _, strides, _ = SMALL[case]
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(batch, width, rows // stride, columns // stride, generator=generator)
        for width, stride in zip(WIDTHS, strides, strict=False)
    ]


def shake(module: nn.Module) -> nn.Module:
    """Give every weight and statistic another value, so that nothing agrees because it is 0 or 1."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.copy_(value + 0.2 * torch.rand(value.shape, generator=generator))
    return module


def test_every_registered_decoder_is_tested_here():
    tested = {name for name, *_ in SMALL.values()} | {"ASPPHead"}
    ours = {name for name in DECODER_REGISTRY if not name.startswith("mmseg_")}
    assert ours == tested
    assert len(ARCHITECTURES) == 12


# All of them


@pytest.mark.parametrize("case", SMALL)
def test_the_output_is_as_wide_and_as_fine_as_the_decoder_says(case):
    decoder, stride = build(case), SMALL[case][3]
    for training in (True, False):
        decoder.train(training)
        for rows, columns in SIZES:
            given = features(case, rows, columns)
            before = [feature.clone() for feature in given]
            with torch.no_grad():
                output = decoder(given)
            assert output.shape == (2, decoder.out_channels, rows // stride, columns // stride)
            assert output.isfinite().all()
            assert all(torch.equal(one, other) for one, other in zip(given, before, strict=True)), "its input changed"


@pytest.mark.parametrize("case", SMALL)
def test_one_image_in_training_with_maps_of_one_cell_is_no_error(case):
    """Batch norm at batch size 1 where pooling leaves one value a channel."""
    output = build(case).train()([feature.requires_grad_() for feature in features(case, 32, 32, batch=1)])
    assert output.isfinite().all()
    output.sum().backward()


@pytest.mark.parametrize("case", SMALL)
def test_gradients_reach_every_parameter_of_a_decoder(case):
    decoder = build(case).train()
    decoder([feature.requires_grad_() for feature in features(case, 64, 96)]).square().mean().backward()
    assert [name for name, parameter in decoder.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("case", SMALL)
def test_a_decoder_is_copied_stored_and_exported(case):
    decoder = shake(build(case)).eval()
    given = features(case, 64, 96)
    with torch.no_grad():
        before = decoder(given)
        for copied in (copy.deepcopy(decoder), pickle.loads(pickle.dumps(decoder))):
            assert torch.equal(copied(given), before)
        other = build(case).eval()
        other.load_state_dict(decoder.state_dict(), strict=True)
        assert torch.equal(other(given), before)
        exported = torch.export.export(decoder, (given,)).module()
        torch.testing.assert_close(exported(given), before)


@pytest.mark.parametrize("case", SMALL)
def test_includes_head_means_the_same_on_class_module_and_source(case):
    """TerraTorch's class, module and registry disagree."""
    name, decoder = SMALL[case][0], build(case)
    assert type(decoder).includes_head is decoder.includes_head
    assert DECODER_REGISTRY.includes_head(name) is decoder.includes_head
    assert decoder.includes_head is (name in ("LinearDecoder", "ASPPSegmentationHead", "ASPPRegressionHead"))
    assert SmpSource.includes_head is SmpDecoder.includes_head is False


@pytest.mark.parametrize("case", SMALL)
def test_a_finished_decoder_needs_what_its_class_needs_with_these_arguments(case):
    name, arguments, _, _ = SMALL[case]
    decoder = build(case)
    given = {"arch": name.removeprefix("smp_"), "kwargs": arguments} if name.startswith("smp_") else arguments
    assert needs_of(decoder, {}) == needs_of(type(decoder), given)


def test_a_decoder_takes_a_coarsest_level_of_one_cell_in_training_and_after():
    """One image, one cell, as many groups as channels: torch's group norm stops there."""
    decoder = SmpDecoder([8, 8, 8, 8], "FPN", {"segmentation_channels": 32, "pyramid_channels": 8})
    given = [torch.randn(1, 8, size, size) for size in (8, 4, 2, 1)]
    for training in (True, False):
        assert decoder.train(training)(given).isfinite().all()
    norm = decoder.get_submodule("_smp_decoder.seg_blocks.0.block.0.block.1")
    x = torch.randn(1, 32, 3, 3)
    torch.testing.assert_close(norm(x), F.group_norm(x, 32, norm.weight, norm.bias, norm.eps))


def test_a_decoder_that_declares_nothing_takes_any_maps():
    assert needs_of(nn.Identity(), {}) == needs_of(nn.Identity, {}) == Needs()


# Atrous pooling


def test_atrous_pooling_is_branches_of_each_dilation_and_the_whole_joined():
    decoder = shake(ASPPDecoder([6, 5], dilations=[1, 3], channels=4)).eval()
    x = torch.randn(2, 5, 7, 9)
    weights = decoder.state_dict()

    def block(prefix: str, x: Tensor, **more: int) -> Tensor:
        norm = [weights[f"{prefix}.norm.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(F.conv2d(x, weights[f"{prefix}.conv.weight"], **more), *norm).relu()

    whole = block("image_pool.1", x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, 7, 9)
    branches = [
        block("aspp_modules.model_sequence.0", x),
        block("aspp_modules.model_sequence.1", x, dilation=3, padding=3),
    ]
    expected = block("bottleneck", torch.cat([whole, *branches], dim=1), padding=1)
    with torch.no_grad():
        torch.testing.assert_close(decoder([torch.randn(2, 6, 14, 18), x]), expected)
    assert weights["aspp_modules.model_sequence.0.conv.weight"].shape == (4, 5, 1, 1)
    assert weights["aspp_modules.model_sequence.1.conv.weight"].shape == (4, 5, 3, 3)


@pytest.mark.parametrize("align_corners", [True, False])
def test_atrous_pooling_reads_several_features_resized_to_the_first_of_them(align_corners):
    joined = shake(ASPPDecoder([4, 6], [1, 2], 10, 4, align_corners, "resize_concat", [1, 0])).eval()
    single = ASPPDecoder([10], [1, 2], channels=4, align_corners=align_corners).eval()
    single.load_state_dict(joined.state_dict())
    coarse, fine = torch.randn(1, 4, 4, 6), torch.randn(1, 6, 8, 12)
    resized = F.interpolate(coarse, size=(8, 12), mode="bilinear", align_corners=align_corners)
    with torch.no_grad():
        torch.testing.assert_close(joined([coarse, fine]), single([torch.cat([fine, resized], dim=1)]))


@pytest.mark.parametrize(("head", "last"), [(ASPPSegmentationHead, "conv_seg"), (ASPPRegressionHead, "conv_reg")])
def test_atrous_pooling_with_its_head_ends_in_dropout_and_one_convolution(head, last):
    decoder = shake(head([5], num_classes=3, channels=4, head_dropout_ratio=0.5)).eval()
    base = ASPPDecoder([5], channels=4).eval()
    base.load_state_dict({name: value for name, value in decoder.state_dict().items() if not name.startswith(last)})
    x = [torch.randn(2, 5, 7, 9)]
    with torch.no_grad():
        torch.testing.assert_close(decoder(x), getattr(decoder, last)(base(x)))
        decoder.train()
        assert not torch.equal(decoder(x), decoder(x))
    assert decoder.out_channels == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dilations": []}, r"ASPPDecoder: dilations is a list of one or more, such as \[1, 6, 12, 18\]"),
        ({"dilations": [1, 0]}, "dilations is a whole number, 1 or more; got 0"),
        ({"dilations": 6}, "dilations is a list"),
        ({"channels": 0}, "ASPPDecoder: channels is a whole number, 1 or more; got 0"),
        ({"in_channels": 7}, "in_channels follows from the features and is 8 here; got 7"),
        ({"in_index": 2}, r"ASPPDecoder: in_index goes from -2 to 1 for 2 feature\(s\); got 2"),
        ({"in_index": [0, 1]}, r"in_index is one number, or a list with input_transform=resize_concat; got \[0, 1\]"),
        ({"in_index": 0, "input_transform": "resize_concat"}, "got 0 with input_transform=resize_concat"),
        ({"in_index": [], "input_transform": "resize_concat"}, "in_index is a list of one or more features"),
        ({"input_transform": "multiple_select"}, "input_transform is null or resize_concat; got 'multiple_select'"),
    ],
)
def test_wrong_arguments_of_atrous_pooling_are_told(arguments, message):
    with pytest.raises(UserError, match=message):
        ASPPDecoder([4, 8], **arguments)


@pytest.mark.parametrize("head", [ASPPSegmentationHead, ASPPRegressionHead])
def test_a_dropout_of_all_channels_is_refused(head):
    with pytest.raises(UserError, match="head_dropout_ratio is from 0 to below 1; got 1"):
        head([4], num_classes=2, head_dropout_ratio=1)


# Perceptron


def test_the_perceptron_joins_all_features_and_is_as_wide_as_the_last():
    decoder = MLPDecoder([64, 64, 64, 64])  # as recorded from TerraTorch
    assert {name: tuple(value.shape) for name, value in decoder.state_dict().items()} == {
        "hidden_layer.weight": (64, 256), "hidden_layer.bias": (64,),
    }  # fmt: skip
    assert decoder.out_channels == 64


def test_the_perceptron_is_a_linear_layer_with_its_activation_at_each_position():
    decoder = MLPDecoder([3, 5])
    fine, coarse = torch.randn(2, 3, 8, 6), torch.randn(2, 5, 4, 3)
    joined = torch.cat([fine, F.interpolate(coarse, size=(8, 6), mode="bilinear")], dim=1)
    expected = torch.einsum("bchw,oc->bohw", joined, decoder.hidden_layer.weight)
    expected = (expected + decoder.hidden_layer.bias[:, None, None]).relu()
    torch.testing.assert_close(decoder([fine, coarse]), expected)


@pytest.mark.parametrize("shape", [(2, 9), (2,)])
def test_the_perceptron_takes_tokens_and_vectors(shape):
    decoder = MLPDecoder([3, 5])
    one, other = torch.randn(*shape, 3), torch.randn(*shape, 5)
    expected = decoder.hidden_layer(torch.cat([one, other], dim=-1)).relu()
    assert torch.equal(decoder([one, other]), expected)
    assert decoder([one, other]).shape == (*shape, 5)


def test_the_perceptron_obeys_its_channels_and_out_dim():
    """TerraTorch's ignores both."""
    given = [torch.randn(2, 3), torch.randn(2, 5)]
    wide = MLPDecoder([3, 5], channels=7)
    assert wide(given).shape == (2, 7) == (2, wide.out_channels)
    two = MLPDecoder([3, 5], channels=7, out_dim=2)
    assert two(given).shape == (2, 2) == (2, two.out_channels)
    assert two.output_layer is not None
    torch.testing.assert_close(two(given), two.output_layer(two.hidden_layer(torch.cat(given, 1)).relu()).relu())
    assert MLPDecoder([3, 5], out_dim=2, out_index=0).hidden_layer.out_features == 3


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_perceptron_has_the_activation_that_is_named(activation):
    decoder = MLPDecoder([3], activation=activation)
    x = torch.randn(4, 3)
    assert torch.equal(decoder([x]), getattr(nn, activation)()(decoder.hidden_layer(x)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "MLPDecoder: channels is a whole number, 1 or more; got 0"),
        ({"out_dim": 2.5}, "MLPDecoder: out_dim is a whole number, 1 or more; got 2.5"),
        ({"activation": "relu"}, "MLPDecoder has no activation 'relu'. Did you mean 'ReLU'"),
        ({"out_index": -3}, r"MLPDecoder: out_index goes from -2 to 1 for 2 feature\(s\); got -3"),
    ],
)
def test_wrong_arguments_of_the_perceptron_are_told(arguments, message):
    with pytest.raises(UserError, match=message):
        MLPDecoder([3, 5], **arguments)


# Identity, linear, UPerNet, U-Net


@pytest.mark.parametrize("shape", [(2, 5, 4, 4), (2, 16, 5), (2, 5)])
def test_the_identity_hands_on_maps_tokens_and_vectors_as_they_are(shape):
    given = [torch.randn(2, 3), torch.randn(shape)]
    assert IdentityDecoder([3, 5])(given) is given[1]
    first = IdentityDecoder([3, 5], out_index=0)
    assert first(given) is given[0]
    assert first.out_channels == 3
    with pytest.raises(UserError, match=r"IdentityDecoder: out_index goes from -2 to 1 for 2 feature\(s\); got 2"):
        IdentityDecoder([3, 5], out_index=2)


def test_the_linear_decoder_predicts_each_pixel_from_its_own_cell():
    decoder = LinearDecoder([3, 5], num_classes=2, upsampling_size=4)
    cells = torch.randn(1, 5, 3, 6)
    output = decoder([torch.randn(1, 3, 6, 12), cells])
    expected = torch.einsum("bchw,coij->bohiwj", cells, decoder.conv.weight).reshape(1, 2, 12, 24)
    torch.testing.assert_close(output, expected + decoder.conv.bias[:, None, None])


def test_the_linear_decoder_takes_its_size_from_the_feature_that_it_reads():
    assert LinearDecoder([3, 5], 2, strides=[8, 16]).conv.stride == (16, 16)
    assert LinearDecoder([3, 5], 2, strides=[8, 16], in_index=0).conv.stride == (8, 8)
    assert LinearDecoder([3, 5], 2, strides=[8, 16], upsampling_size=2).conv.stride == (2, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "LinearDecoder: give upsampling_size, the stride of the feature"),
        ({"strides": [Fraction(7, 2)]}, "the feature's stride is 3.5 pixels; give upsampling_size"),
        ({"upsampling_size": 0}, "LinearDecoder: upsampling_size is a whole number, 1 or more; got 0"),
        ({"upsampling_size": 4, "in_index": 1}, "LinearDecoder: in_index goes from -1 to 0"),
    ],
)
def test_wrong_arguments_of_the_linear_decoder_are_told(arguments, message):
    with pytest.raises(UserError, match=message):
        LinearDecoder([4], 2, **arguments)


def test_the_pyramid_in_the_decoder_is_the_neck_under_the_old_names():
    """Checkpoints of `decoder_scale_modules=True` load; what they compute is today's neck before today's decoder."""
    widths = [16, 16, 16, 16]
    old = shake(UperNetDecoder(widths, channels=8, scale_modules=True)).eval()
    moved = {name for name in old.state_dict() if name.startswith("fpn") and name[3].isdigit()}
    weights = {"weight", "bias"}
    statistics = {*weights, "running_mean", "running_var", "num_batches_tracked"}
    assert moved == {
        *(f"fpn1.{layer}.{part}" for layer in (0, 3) for part in weights),
        *(f"fpn1.1.{part}" for part in statistics),
        *(f"fpn2.0.{part}" for part in weights),
    }
    neck = LearnedInterpolateToPyramidal(widths).eval()
    neck.load_state_dict({name: old.state_dict()[name] for name in moved})
    new = UperNetDecoder(neck.process_channel_list(widths), channels=8).eval()
    new.load_state_dict({name: value for name, value in old.state_dict().items() if name not in moved})
    given = [torch.randn(2, 16, 4, 6) for _ in widths]
    with torch.no_grad():
        assert torch.equal(old(given), new(neck(given)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: UperNetDecoder([8, 8, 8], scale_modules=True), "makes its pyramid of four features; got 3"),
        (lambda: UperNetDecoder([8]), "reads a pyramid of two levels or more; got 1"),
        (lambda: UperNetDecoder([8, 8], channels=0), "UperNetDecoder: channels is a whole number, 1 or more"),
        (lambda: UperNetDecoder([8, 8], pool_scales=[]), "UperNetDecoder: pool_scales is a list of one or more"),
        (lambda: UperNetDecoder([8, 8], pool_scales=[0]), "pool_scales is a whole number, 1 or more; got 0"),
        (lambda: UNetDecoder([8, 8], channels=[16]), r"decoder.channels has one width per feature: 2 here, got \[16\]"),
        (lambda: UNetDecoder([8, 8], channels=[16, 0]), "UNetDecoder: channels is a whole number, 1 or more; got 0"),
        (lambda: UNetDecoder([8, 8], attention_type="se"), "attention_type is null or scse; got 'se'"),
        (lambda: UNetDecoder([8, 8], [16, 8], attention_type="scse"), "16 or more each with attention_type=scse"),
        (lambda: DECODER_REGISTRY.build("FCNDecoder", [8], channels=0), "FCNDecoder: channels is a whole number"),
        (lambda: DECODER_REGISTRY.build("FCNDecoder", [8], num_convs=-1), "num_convs is a whole number, 0 or more"),
    ],
)
def test_wrong_arguments_of_the_pyramids_decoders_are_told(build, message):
    with pytest.raises(UserError, match=message):
        build()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("UNetDecoder", {"use_batchnorm": False}),
        ("UNetDecoder", {"attention_type": "scse"}),
        ("UNetDecoder", {"channels": OmegaConf.create([16, 8])}),
        ("UperNetDecoder", {"channels": 8, "align_corners": False}),
        ("UperNetDecoder", {"channels": 8, "pool_scales": (1, 4)}),
        ("FCNDecoder", {"channels": 8, "num_convs": 0, "in_index": 0}),
    ],
)
def test_other_arguments_than_the_usual_ones_work(name, arguments):
    decoder = DECODER_REGISTRY.build(name, [8, 16], **arguments).eval()
    output = decoder([torch.randn(1, 8, 8, 12), torch.randn(1, 16, 4, 6)])
    assert output.shape == (1, decoder.out_channels, 8, 12)
