"""Decoders alone, by their definitions, and what the factory makes of them."""

import copy
import pickle
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder
from segmentation_models_pytorch.decoders.pan.decoder import PANDecoder
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.decoders.aspp import ASPPDecoder, ASPPRegressionHead, ASPPSegmentationHead
from geocompose.decoders.identity import IdentityDecoder
from geocompose.decoders.linear import LinearDecoder
from geocompose.decoders.mlp import ACTIVATIONS, MLPDecoder
from geocompose.decoders.needs import Needs, needs_of
from geocompose.decoders.smp import SmpDecoder, SmpSource
from geocompose.decoders.smp_any_size import powers_of_two
from geocompose.decoders.smp_architectures import ARCHITECTURES
from geocompose.decoders.smp_arguments import INTERPOLATIONS, NORMS
from geocompose.decoders.unet import UNetDecoder
from geocompose.decoders.upernet import UperNetDecoder
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.features import FeatureSpec
from geocompose.models import PixelWiseModel
from geocompose.necks.pyramid import LearnedInterpolateToPyramidal
from geocompose.planning import AutoNecks, check_needs, padding_multiple, plan
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
    given = {"arch": name.removeprefix("smp_"), **arguments} if name.startswith("smp_") else arguments
    assert needs_of(decoder, {}) == needs_of(type(decoder), given)


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
        ({"dilations": [1, 0]}, "dilations is a whole number from 1 on; got 0"),
        ({"dilations": 6}, "dilations is a list"),
        ({"channels": 0}, "ASPPDecoder: channels is a whole number from 1 on; got 0"),
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
        ({"channels": 0}, "MLPDecoder: channels is a whole number from 1 on; got 0"),
        ({"out_dim": 2.5}, "MLPDecoder: out_dim is a whole number from 1 on; got 2.5"),
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
        ({"upsampling_size": 0}, "LinearDecoder: upsampling_size is a whole number from 1 on; got 0"),
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
        (lambda: UperNetDecoder([8, 8], channels=0), "UperNetDecoder: channels is a whole number from 1 on"),
        (lambda: UperNetDecoder([8, 8], pool_scales=[]), "UperNetDecoder: pool_scales is a list of one or more"),
        (lambda: UperNetDecoder([8, 8], pool_scales=[0]), "pool_scales is a whole number from 1 on; got 0"),
        (lambda: UNetDecoder([8, 8], channels=[16]), r"decoder.channels has one width a feature: 2 here, got \[16\]"),
        (lambda: UNetDecoder([8, 8], channels=[16, 0]), "UNetDecoder: channels is a whole number from 1 on; got 0"),
        (lambda: UNetDecoder([8, 8], attention_type="se"), "attention_type is null or scse; got 'se'"),
        (lambda: UNetDecoder([8, 8], [16, 8], attention_type="scse"), "16 or more each with attention_type=scse"),
        (lambda: DECODER_REGISTRY.build("FCNDecoder", [8], channels=0), "FCNDecoder: channels is a whole number"),
        (lambda: DECODER_REGISTRY.build("FCNDecoder", [8], num_convs=-1), "num_convs is a whole number from 0 on"),
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


# segmentation_models.pytorch


def smp(arch: str, kwargs: Mapping[str, Any] | None = None, strides: tuple[int, ...] | None = None) -> nn.Module:
    given = strides or SMALL[arch][2]
    return SmpDecoder(list(WIDTHS[: len(given)]), arch, dict(kwargs or {}), list(given))


def test_each_smp_decoder_is_found_with_and_without_its_prefix_and_fills_in_its_widths():
    for arch in ARCHITECTURES:
        strides = SMALL[arch][2]
        for name in (f"smp_{arch}", arch):
            with torch.device("meta"):
                decoder = DECODER_REGISTRY.build(name, list(WIDTHS[: len(strides)]), strides=list(strides))
            assert isinstance(decoder.out_channels, int)
            assert all(key.startswith("_smp_decoder.") for key in decoder.state_dict())


# Every documented value of an argument that is no plain number, beside those of SMALL.
UNET_LIKE = {
    "use_norm": [True, False, *NORMS, {"type": "batchnorm", "eps": 1e-3}],
    "interpolation_mode": INTERPOLATIONS,
}
VALUES: Mapping[str, Mapping[str, Any]] = {
    "Unet": {**UNET_LIKE, "attention_type": [None, "scse"], "add_center_block": [True], "decoder_channels": [None]},
    "UnetPlusPlus": {"use_norm": [False], "center": [True], "interpolation_mode": ["area"]},
    "MAnet": {"use_norm": [False], "reduction": [4], "pab_channels": [4], "interpolation_mode": ["bilinear"]},
    "Linknet": {"use_norm": ["identity", {"type": "instancenorm", "affine": True}]},
    "FPN": {"dropout": [0.0], "merge_policy": ["add", "cat"], "interpolation_mode": ["bilinear"]},
    "PSPNet": {"use_norm": ["identity"], "dropout": [0.5]},
    "PAN": {"interpolation_mode": INTERPOLATIONS},
    "DeepLabV3": {"atrous_rates": [[1, 2, 3]], "aspp_separable": [True, False], "aspp_dropout": [0.0]},
    "DeepLabV3Plus": {"atrous_rates": [[1, 2, 3]], "aspp_separable": [False], "aspp_dropout": [0.0], "output_stride": [16]},
    "UPerNet": {"use_norm": [False, {"type": "identity"}]},
    "Segformer": {"segmentation_channels": [None]},
    "DPT": {"readout": ["ignore", "cat"], "intermediate_channels": [None], "fusion_channels": [4]},
}  # fmt: skip
CHOICES = [(arch, name, value) for arch, table in VALUES.items() for name, values in table.items() for value in values]


@pytest.mark.parametrize(("arch", "name", "value"), CHOICES)
def test_every_value_of_an_smp_argument_works(arch, name, value):
    arguments = {
        key: given for key, given in SMALL[arch][1].items() if name != "attention_type" or key != "decoder_channels"
    }
    decoder = smp(arch, OmegaConf.create({**arguments, name: value})).eval()
    with torch.no_grad():
        output = decoder(features(arch, 64, 96))
    assert output.shape[:2] == (2, decoder.out_channels)
    assert output.isfinite().all()


@pytest.mark.parametrize(
    ("arch", "kwargs", "message"),
    [
        ("Unet", {"channels": 8}, "smp's Unet decoder takes no argument 'channels'. Did you mean 'decoder_channels'"),
        ("Unet", {"encoder_channels": [8]}, "takes no argument 'encoder_channels'"),
        ("Unet", {"decoder_channels": [8]}, r"one width a feature after the first: 4 here, got \[8\]. Write for example"),
        ("Unet", {"decoder_channels": [8, 8, 8, 0]}, "decoder_channels is a whole number from 1 on; got 0"),
        ("Unet", {"decoder_channels": 8}, "one width a feature after the first: 4 here, got 8"),
        ("Unet", {"use_norm": "batchnrom"}, "use_norm has no value 'batchnrom'. Did you mean 'batchnorm'"),
        ("Unet", {"use_norm": "layernorm"}, "use_norm has no value 'layernorm'"),
        ("Unet", {"use_norm": {"eps": 1}}, "or a mapping with that name as its type"),
        ("Unet", {"attention_type": "se"}, "attention_type has no value 'se'"),
        ("Unet", {"attention_type": "scse", "decoder_channels": [16, 16, 16, 8]}, "16 or more each with attention_type=scse"),
        ("UnetPlusPlus", {"attention_type": "scse"}, r"the features' widths are 16 or more each .* got \[12, 16, 32, 24\]"),
        ("UPerNet", {"use_norm": {"type": "instancenorm"}}, "pools a map to one cell, of which use_norm=instancenorm leaves nothing"),
        ("Unet", {"interpolation_mode": "cubic"}, "interpolation_mode has no value 'cubic'. Did you mean 'bicubic'"),
        ("Unet", {"add_center_block": 1}, "add_center_block is true or false; got 1"),
        ("MAnet", {"reduction": 0}, "reduction is a whole number from 1 on"),
        ("Linknet", {"prefinal_channels": 0}, "prefinal_channels is a whole number from 1 on"),
        ("FPN", {"segmentation_channels": 48}, "segmentation_channels is a multiple of 32, the groups of its norm; got 48"),
        ("FPN", {"merge_policy": "sum"}, "merge_policy has no value 'sum'. Allowed: add, cat"),
        ("FPN", {"dropout": 1.0}, "dropout is from 0 to below 1; got 1.0"),
        ("PSPNet", {"out_channels": "8"}, "out_channels is a whole number from 1 on; got '8'"),
        ("PAN", {"decoder_channels": [8]}, r"smp PAN: decoder_channels is one whole number, such as 32; got \[8\]"),
        ("UPerNet", {"decoder_channels": [8]}, r"smp UPerNet: decoder_channels is one whole number, such as 256; got \[8\]"),
        ("DeepLabV3", {"atrous_rates": [6, 12]}, r"atrous_rates are three whole numbers, such as \[12, 24, 36\]; got \[6, 12\]"),
        ("DeepLabV3", {"aspp_dropout": -0.1}, "aspp_dropout is from 0 to below 1"),
        ("DeepLabV3Plus", {"output_stride": 32}, "output_stride is 16 or 8; got 32"),
        ("DeepLabV3Plus", {"output_stride": [16]}, r"output_stride is a whole number from 1 on; got \[16\]"),
        ("DeepLabV3Plus", {"output_stride": 8}, r"the third must be 2 times as fine as the last.*\[2, 4, 8, 16, 32\]"),
        ("DPT", {"readout": "add"}, "readout has no value 'add'. Allowed: ignore, cat"),
        ("DPT", {"intermediate_channels": [8]}, r"intermediate_channels has one width a feature: 4 here, got \[8\]"),
    ],
)  # fmt: skip
def test_wrong_arguments_of_smp_decoders_are_told(arch, kwargs, message):
    with pytest.raises(UserError, match=message):
        smp(arch, kwargs)


@pytest.mark.parametrize(
    ("widths", "arch", "strides", "message"),
    [
        ([8] * 4, "unet", None, "There is no smp decoder 'unet' here. Did you mean 'Unet'"),
        ([8] * 2, "Unet", None, r"needs 3 features or more \(its first is skipped\); got 2"),
        ([8] * 3, "PAN", None, r"needs 4 features or more \(its first two are skipped\); got 3"),
        ([8] * 3, "FPN", None, "smp's FPN decoder needs 4 features or more; got 3"),
        ([8] * 7, "PAN", None, "PAN reads four features at most, after the two that it skips; it gets 7"),
        ([8, 6], "PSPNet", None, "last feature's width among four poolings: it must be a multiple of 4; it is 6"),
        ([1, 8, 3], "Linknet", None, r"they must be 4 or more; the features have \[8, 3\]"),
        ([8] * 4, "DPT", None, "smp DPT: give the features' strides"),
        ([8] * 2, "DPT", [4, 12], r"must be powers of two of each other; got \[4, 12\]"),
    ],
)
def test_features_that_an_smp_decoder_can_not_read_are_refused(widths, arch, strides, message):
    with pytest.raises(UserError, match=message):
        SmpDecoder(widths, arch, strides=strides)


@pytest.mark.parametrize("size", [(8, 8), (9, 14), (8, 40)])
def test_pan_is_smp_s_own_where_that_runs(size):
    ours = shake(smp("PAN", {"decoder_channels": 8})).eval()
    theirs = PANDecoder(WIDTHS, 5, 8).eval()
    theirs.load_state_dict(ours._smp_decoder.state_dict())
    rows, columns = size
    given = [torch.randn(1, width, rows * scale, columns * scale) for width, scale in zip(WIDTHS, (32, 16, 8, 4, 2, 1), strict=True)]  # fmt: skip
    with torch.no_grad():
        torch.testing.assert_close(ours(given), theirs(given))


@pytest.mark.parametrize(("case", "strides"), [("DPT", ONE_SCALE), ("DPT-pyramid", PYRAMID)])
@pytest.mark.parametrize("readout", ["ignore", "cat"])
def test_dpt_is_smp_s_own_where_that_runs(case, strides, readout):
    ours = shake(smp("DPT", {**SMALL["DPT"][1], "readout": readout}, strides)).eval()
    theirs = DPTDecoder(WIDTHS[:4], strides, False, readout, (8, 8, 8, 8), 8).eval()
    theirs.load_state_dict(ours._smp_decoder.state_dict())
    given = features(case, 64, 96)
    with torch.no_grad():
        assert torch.equal(ours(given), theirs(given, [None] * 4))


def test_dpt_keeps_the_place_of_an_odd_grid():
    """9 x 5 tokens are continued to 10 x 6 at the right and below, and cropped again."""
    decoder = smp("DPT", SMALL["DPT"][1]).eval()
    odd = features("DPT", 144, 80)
    continued = [F.pad(feature, (0, 1, 0, 1), mode="replicate") for feature in odd]
    with torch.no_grad():
        output = decoder(odd)
        assert output.shape[2:] == (72, 40)
        assert torch.equal(output, decoder(continued)[..., :72, :40])


@pytest.mark.parametrize(
    ("strides", "counted"),
    [
        ((16, 16), [16, 16]),
        ((14, 14, 14), [16, 16, 16]),
        ((Fraction(7, 2), 7, 14, 28), [4, 8, 16, 32]),
        ((4, 8, 16, 32), [4, 8, 16, 32]),
        ((8, 8), [8, 8]),
        ((1, 2), [1, 2]),
    ],
)
def test_a_patch_of_14_pixels_stands_for_16_in_dpt(strides, counted):
    assert powers_of_two(strides) == counted


# Plans


def specs(*strides: int, layout: Any = "NCHW", width: int = 16) -> list[FeatureSpec]:
    return [FeatureSpec(width, stride, layout) for stride in strides]


def planned(arch: str, given: list[FeatureSpec]) -> list[str]:
    necks = plan(AutoNecks(), given, ARCHITECTURES[arch].needs, maps_by_default=False)
    return [str(neck["name"]) for neck in necks]


def test_levels_that_an_smp_decoder_skips_are_put_before_those_it_reads():
    add, learned, reshape, select = (
        "AddInputLevel",
        "LearnedInterpolateToPyramidal",
        "ReshapeTokensToImage",
        "SelectIndices",
    )
    tokens = specs(*[16] * 12, layout="tokens")
    assert planned("Linknet", specs(2, 4, 8, 16, 32)) == [add]
    assert planned("UPerNet", specs(2, 4, 8, 16, 32)) == [add]  # it begins to read at a quarter, as smp's own model
    assert planned("UPerNet", specs(4, 8, 16, 32)) == [add, add]
    assert planned("UPerNet", specs(1, 2, 4, 8, 16)) == []
    assert planned("UPerNet", specs(1, 2, 4)) == [add]  # else one level would be left
    assert planned("PAN", tokens) == [select, reshape, learned, add, add]
    assert planned("DPT", tokens) == [select, reshape]
    assert planned("DPT", specs(4, 8, 16, 32)) == []
    assert planned("PSPNet", tokens) == [select, reshape]
    assert planned("DeepLabV3", specs(16, 16, 16, 16)) == [select]
    assert planned("DeepLabV3Plus", specs(4, 8, 16, 32)) == [add]


@pytest.mark.parametrize(
    ("decoder", "given", "message"),
    [
        (
            ("smp_Linknet", {}),
            specs(1, 4, 8, 16, 16),
            r"each must be half as fine as the one before \(but for the first, which it skips\); .* \[1, 4, 8, 16, 16\]",
        ),
        (("smp_FPN", {}), specs(2, 4, 8, 32), "smp_FPN doubles its way from the last feature to the finest"),
        (("smp_PAN", {}), specs(1, 4, 8), "smp_PAN needs 4 features or more, but gets 3"),
        (
            ("UperNetDecoder", {"scale_modules": True}),
            specs(4, 8, 16, 32),
            r"scales its features itself: they must have one resolution, but the levels are at strides \[4, 8, 16, 32\]",
        ),
        (
            ("UperNetDecoder", {}),
            specs(1, 1, layout="vector"),
            "reads maps .* but gets: 16 ch, vector.*no AggregateTokens",
        ),
        (("FCNDecoder", {}), specs(8, layout="NHWC"), r"PermuteDims with new_order \[0, 3, 1, 2\]"),
        (("FCNDecoder", {}), specs(8, layout="tokens"), r"ReshapeTokensToImage"),
    ],
)
def test_features_that_a_decoder_would_misread_are_refused(decoder, given, message):
    name, arguments = decoder
    builder: Any = DECODER_REGISTRY.find(name)
    target, fixed = getattr(builder, "func", builder), getattr(builder, "keywords", {})
    with pytest.raises(UserError, match=message):
        check_needs(name, needs_of(target, {**fixed, **arguments}), given)


def test_images_are_padded_to_suit_the_coarsest_map_inside_a_decoder():
    """With its own pyramid UPerNet goes to half the tokens' resolution, as with the neck that makes it."""
    given = specs(16, 16, 16, 16, layout="tokens")
    maps = specs(16, 16, 16, 16)
    assert padding_multiple(given, maps, needs_of(UperNetDecoder, {"scale_modules": True})) == 32
    assert padding_multiple(given, maps, needs_of(ASPPDecoder, {})) == 16
    assert padding_multiple(given, specs(4, 8, 16, 32), needs_of(UperNetDecoder, {})) == 32
    assert padding_multiple(specs(14), specs(1, layout="vector"), needs_of(IdentityDecoder, {})) == 14


def test_identity_and_perceptron_take_what_others_refuse():
    for decoder in (IdentityDecoder, MLPDecoder):
        for layout in ("NCHW", "tokens", "vector"):
            check_needs(decoder.__name__, decoder.needs, specs(16, layout=layout))


# Through the factory

PRITHVI = {"embed_dim": 48, "depth": 4, "num_heads": 4, "img_size": 64}
TO_MAPS = [{"name": "SelectIndices", "indices": [0, 1, 2, 3]}, {"name": "ReshapeTokensToImage"}]


def composed(decoder: str, **more: Any) -> PixelWiseModel:
    arguments: dict[str, Any] = {
        "task": "segmentation", "backbone": "prithvi_eo_v2_300", "backbone_kwargs": PRITHVI, "num_classes": 3, "necks": "auto",
    }  # fmt: skip
    return EncoderDecoderFactory((64, 64)).build_model(decoder=decoder, **{**arguments, **more})


@pytest.mark.parametrize(
    ("decoder", "more"),
    [
        ("LinearDecoder", {}),
        ("ASPPDecoder", {"decoder_channels": 8}),
        ("ASPPHead", {"decoder_channels": 8}),
        ("ASPPSegmentationHead", {"decoder_channels": 8}),
        ("MLPDecoder", {"decoder_channels": 8, "decoder_out_dim": 4}),
        ("IdentityDecoder", {}),
    ],
)
def test_decoders_that_fail_in_terratorch_s_factory_make_segmentation_models(decoder, more):
    model = composed(decoder, **more)
    assert model(torch.randn(1, 6, 64, 40)).output.shape == (1, 3, 64, 40)
    ends_itself = decoder in ("LinearDecoder", "ASPPSegmentationHead")
    assert isinstance(model.head, nn.Identity) is ends_itself
    assert model.decoder.out_channels == {"MLPDecoder": 4, "IdentityDecoder": 48}.get(decoder, 3 if ends_itself else 8)


@pytest.mark.parametrize("decoder", ["LinearDecoder", "ASPPRegressionHead"])
@pytest.mark.parametrize(("outputs", "shape"), [(None, (2, 64, 40)), (2, (2, 2, 64, 40))])
def test_a_decoder_with_its_head_predicts_the_variables_of_a_regression(decoder, outputs, shape):
    model = composed(decoder, task="regression", num_classes=None, num_outputs=outputs)
    assert model(torch.randn(2, 6, 64, 40)).output.shape == shape


@pytest.mark.parametrize("decoder", ["IdentityDecoder", "MLPDecoder"])
@pytest.mark.parametrize("necks", ["auto", TO_MAPS, [{"name": "AggregateTokens", "pooling": "CLS"}], []])
def test_identity_and_perceptron_lead_to_an_image_s_class_from_maps_vectors_and_tokens(decoder, necks):
    model = composed(decoder, task="classification", necks=necks)
    assert model(torch.randn(2, 6, 64, 40)).output.shape == (2, 3)


def test_smp_decoders_need_no_widths_spelt_out():
    """In TerraTorch Unet, UnetPlusPlus and MAnet do, DPT and PAN fail, and DeepLabV3Plus fails on a ViT."""
    for arch in ("Unet", "UnetPlusPlus", "MAnet", "DPT", "PAN", "DeepLabV3Plus"):
        model = composed(f"smp_{arch}").eval()
        with torch.no_grad():
            assert model(torch.randn(1, 6, 50, 37)).output.shape == (1, 3, 50, 37)


def test_a_model_with_scale_modules_builds_as_terratorch_s_users_wrote_it():
    model = composed("UperNetDecoder", necks=TO_MAPS, decoder_scale_modules=True, decoder_channels=8)
    assert model(torch.randn(2, 6, 64, 64)).output.shape == (2, 3, 64, 64)
    assert "decoder.fpn1.3.weight" in model.state_dict()
    planned_model = composed("UperNetDecoder", decoder_scale_modules=True, decoder_channels=8)
    assert [type(neck).__name__ for neck in planned_model.neck] == ["ReshapeTokensToImage"]
    with pytest.raises(UserError, match="scales its features itself"):
        composed("UperNetDecoder", backbone="timm_test_convnext", backbone_kwargs={}, decoder_scale_modules=True)


def test_head_arguments_for_a_pooling_that_has_its_head_are_refused():
    with pytest.raises(UserError, match="ASPPSegmentationHead includes its head, so nobody takes head_dropout"):
        composed("ASPPSegmentationHead", head_dropout=0.2)


def test_squeeze_and_excitation_in_unetplusplus_takes_wide_features():
    decoder = SmpDecoder([1, 16, 16, 32], "UnetPlusPlus", {"attention_type": "scse", "decoder_channels": [16, 16, 16]})
    given = [torch.randn(1, width, size, size) for width, size in ((1, 32), (16, 16), (16, 8), (32, 4))]
    assert decoder(given).shape == (1, 16, 32, 32)
