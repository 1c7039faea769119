"""Backbones beside Prithvi and timm: the image itself, and a U-Net from scratch."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from geocompose.backbones.identity import IdentityBackbone
from geocompose.backbones.unet import UNet
from geocompose.contracts.features import FeatureSpec
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.registry import BACKBONE_REGISTRY


def image(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# The image itself


@pytest.mark.parametrize(
    "arguments",
    [
        {"in_chans": 3},
        {"bands": ["RED", "VV", "DEM"]},
        {"out_channels": [3]},
        {"bands": ["B", "G", "R"], "in_chans": 3},
    ],
)
def test_the_identity_backbone_hands_the_image_on(arguments):
    backbone = BACKBONE_REGISTRY.build("IdentityBackbone", **arguments)
    picture = image(2, 3, 5, 7)
    assert backbone(picture)[0] is picture
    assert backbone.out_channels == [3]
    assert backbone.feature_specs == [FeatureSpec(3, 1, "NCHW")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "but nothing says it. Give backbone.bands, or backbone.in_chans"),
        ({"bands": ["RED"], "in_chans": 3}, "but bands say 1, in_chans say 3"),
        (
            {"out_channels": [3, 6]},
            r"returns one feature, so backbone.out_channels must be a list of one number; got \[3, 6\]",
        ),
        ({"in_chans": 0}, "backbone.in_chans must be 1 or more; got 0"),
        ({"bands": ["GREN"]}, "Unknown band 'GREN'. Did you mean 'GREEN'"),
    ],
)
def test_an_identity_of_unknown_width_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        IdentityBackbone(**arguments)


def test_the_identity_backbone_refuses_an_image_of_other_channels():
    with pytest.raises(UserError, match=r"takes images \(B, 3, rows, columns\); got \(1, 3, 2, 8, 8\)"):
        IdentityBackbone(in_chans=3)(image(1, 3, 2, 8, 8))


def test_a_decoder_learns_from_pixels_through_the_identity_backbone():
    model = EncoderDecoderFactory(image_size=(33, 20)).build_model(
        task="segmentation", backbone="IdentityBackbone", backbone_in_chans=5, decoder="FCNDecoder",
        decoder_num_convs=1, decoder_channels=4, num_classes=3, necks="auto",
    )  # fmt: skip
    assert model(image(2, 5, 33, 20)).output.shape == (2, 3, 33, 20)


# A U-Net from scratch


@pytest.mark.parametrize(
    ("arguments", "strides", "widths"),
    [
        ({}, [1, 2, 4, 8, 16], [8, 16, 32, 64, 128]),
        ({"num_stages": 1}, [1], [8]),
        ({"num_stages": 3, "strides": [2, 2, 1]}, [2, 4, 8], [8, 16, 32]),
        ({"num_stages": 3, "downsamples": [True, False]}, [1, 2, 2], [8, 16, 32]),
        ({"num_stages": 2, "enc_num_convs": [1, 3], "dec_num_convs": [1]}, [1, 2], [8, 16]),
        ({"num_stages": 2, "enc_dilations": [1, 2], "dec_dilations": [3]}, [1, 2], [8, 16]),
        ({"out_indices": [0, -1]}, [1, 16], [8, 128]),
        ({"out_indices": [2]}, [4], [32]),
    ],
)
def test_a_unet_returns_the_pyramid_that_it_declares(arguments, strides, widths):
    backbone = UNet(in_channels=4, out_channels=8, **arguments).eval()
    features = backbone(image(2, 4, 32, 48))
    assert backbone.out_channels == widths
    assert [spec.stride for spec in backbone.feature_specs] == strides
    assert [tuple(feature.shape) for feature in features] == [
        (2, width, 32 // stride, 48 // stride) for width, stride in zip(widths, strides, strict=True)
    ]


def test_a_unet_has_the_convolutions_and_dilations_asked_for():
    backbone = UNet(out_channels=4, num_stages=2, enc_num_convs=[1, 3], dec_num_convs=[2], enc_dilations=[1, 2])
    counts = [sum(isinstance(part, nn.Conv2d) for part in stage.modules()) for stage in backbone.encoder]
    assert counts == [1, 3]
    assert [part.dilation[0] for part in backbone.encoder[1].modules() if isinstance(part, nn.Conv2d)] == [1, 2, 2]
    assert sum(isinstance(part, nn.Conv2d) for part in backbone.decoder.modules()) == 2


def test_a_unet_computes_and_trains_nothing_finer_than_the_finest_selected_level():
    backbone = UNet(in_channels=3, out_channels=4, num_stages=4)
    everything = backbone.eval()(image(1, 3, 16, 16))
    backbone.select_layers([-1, 2])
    coarsest, third = backbone(image(1, 3, 16, 16))
    assert torch.equal(coarsest, everything[3])
    assert torch.equal(third, everything[2])
    ran: list[int] = []
    for level, part in enumerate(backbone.decoder):
        part.register_forward_hook(lambda *_, level=level: ran.append(level))
    sum(feature.sum() for feature in backbone.train()(image(2, 3, 16, 16))).backward()
    assert ran == [2]
    assert all((parameter.grad is not None) == parameter.requires_grad for parameter in backbone.parameters())
    still = {name for name, parameter in backbone.named_parameters() if not parameter.requires_grad}
    assert still == {name for name, _ in backbone.named_parameters() if name.startswith(("decoder.0", "decoder.1"))}
    with pytest.raises(UserError, match="Level 0 was given up when level 2 was selected as the finest"):
        backbone.select_layers([0])


def test_a_selection_of_levels_never_lets_learn_what_was_frozen():
    backbone = UNet(out_channels=4, num_stages=3).requires_grad_(False)
    backbone.select_layers([1])
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_stages": 0}, "backbone.num_stages must be 1 or more; got 0"),
        ({"out_channels": 0}, "backbone.out_channels must be 1 or more; got 0"),
        ({"in_channels": 0}, "backbone.in_channels must be 1 or more; got 0"),
        ({"in_channels": 4, "bands": ["RED"]}, r"in_channels=4 contradicts backbone.bands=\['RED'\], which are 1"),
        ({"strides": [1, 2]}, r"backbone.strides has one value per stage: 5 here; got \[1, 2\]"),
        ({"strides": [1, 3, 1, 1, 1]}, "backbone.strides takes 1 or 2; got"),
        ({"downsamples": [True] * 5}, "backbone.downsamples has one value per stage: 4 here"),
        ({"enc_num_convs": [0, 1, 1, 1, 1]}, "backbone.enc_num_convs: each value must be 1 or more; got 0"),
        ({"out_indices": [0, 5]}, r"levels 0 \(finest\) to 4, each selectable once; got \[0, 5\]"),
        ({"bands": ["RED", "GREN"]}, "Unknown band 'GREN'"),
    ],
)
def test_a_unet_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        UNet(**arguments)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (1, 3, 40, 32),
            "An image of 40 x 32 pixels is not a multiple of this U-Net's coarsest stride, 16; pad the image",
        ),
        ((1, 4, 32, 32), r"takes images \(B, 3, rows, columns\); got \(1, 4, 32, 32\)"),
    ],
)
def test_a_unet_refuses_an_image_that_does_not_fit(shape, message):
    with pytest.raises(UserError, match=message):
        UNet(out_channels=4)(image(*shape))


@pytest.mark.parametrize("decoder", ["UNetDecoder", "FCNDecoder", "UperNetDecoder"])
def test_a_unet_is_padded_to_and_learns_in_a_model(decoder):
    model = EncoderDecoderFactory(image_size=(40, 50)).build_model(
        task="segmentation", backbone="UNet", backbone_in_channels=4, backbone_out_channels=4, backbone_num_stages=4,
        decoder=decoder, num_classes=3, necks="auto",
    )  # fmt: skip
    output = model.train()(image(2, 4, 40, 50)).output
    assert output.shape == (2, 3, 40, 50)
    output.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def test_a_unet_exports_and_its_copies_have_weights_of_their_own():
    backbone = UNet(out_channels=4, num_stages=3).eval()
    exported = torch.export.export(backbone, (image(1, 3, 16, 24),)).module()
    for other in (exported, copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
        for mine, theirs in zip(other(image(1, 3, 16, 24)), backbone(image(1, 3, 16, 24)), strict=True):
            torch.testing.assert_close(mine, theirs)
