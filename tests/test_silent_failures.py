"""Mistakes that once gave a wrong number, or a wrong model, without a word."""

from fractions import Fraction

import pytest
import torch
from torch import nn

from geocompose.decoders.fcn import FCNDecoder
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory


def build(size, backbone="prithvi_eo_tiny", decoder="UperNetDecoder", coordinates=True, **arguments):
    factory = EncoderDecoderFactory(image_size=(size, size), coordinates=coordinates)
    model = factory.build_model("segmentation", backbone, decoder, num_classes=3, necks="auto", **arguments)
    assert factory.plan is not None
    return model, factory.plan


@pytest.mark.parametrize("size", [48, 64, 80, 112, 240])
def test_padding_does_not_depend_on_the_size_of_the_tiles(size):
    model, plan = build(size, backbone_depth=4)
    assert [spec.stride for spec in plan.decoder_features] == [4, 8, 16, 32]
    assert model.pad_multiple == 32


def test_a_patch_of_14_is_quartered_exactly():
    with torch.device("meta"):
        model, plan = build(64, "prithvi_eo_v2_600", backbone_depth=4)
    assert [spec.stride for spec in plan.decoder_features] == [Fraction(7, 2), 7, 14, 28]
    assert model.pad_multiple == 28


def test_models_built_for_different_tiles_say_the_same():
    first, _ = build(80, backbone_depth=4)
    second, _ = build(64, backbone_depth=4)
    second.load_state_dict(first.state_dict())
    image = torch.randn(1, 6, 80, 80)
    with torch.inference_mode():
        assert torch.equal(first.eval()(image).output, second.eval()(image).output)


@pytest.mark.parametrize(
    ("backbone", "decoder", "arguments"),
    [
        ("prithvi_eo_v2_tiny_tl", "UperNetDecoder", {}),  # scales of coordinates that no data gives
        ("prithvi_eo_tiny", "smp_DeepLabV3Plus", {}),  # it reads two of the pyramid's levels
        ("timm_test_resnet", "FCNDecoder", {"decoder_in_index": 0}),  # later stages are never read
    ],
)
def test_what_no_output_depends_on_does_not_wait_for_a_gradient(backbone, decoder, arguments):
    # DistributedDataParallel stops at its second step where a trainable parameter got no gradient.
    model, plan = build(64, backbone, decoder, coordinates=False, **arguments)
    assert plan.unreached
    model.train()(torch.randn(2, 6 if "prithvi" in backbone else 3, 64, 64)).output.sum().backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    got = [name for name, p in model.named_parameters() if not p.requires_grad and p.grad is not None]
    assert not got


def test_a_decoder_of_another_width_is_refused_before_the_first_batch():
    # torch's transposed convolution does not compare widths on the meta device.
    with pytest.raises(UserError, match="ConvTranspose2d takes 7 channels and gets 256"):
        EncoderDecoderFactory((64, 64)).build_model(
            "segmentation", "prithvi_eo_tiny", FCNDecoder([7], channels=4), num_classes=3, necks="auto"
        )


def test_a_zero_is_not_the_variants_own_number():
    with pytest.raises(UserError, match="depth is 1 or more; got 0"):
        build(64, backbone_depth=0)


def test_probing_leaves_the_callers_module_as_it_was():
    class Backbone(nn.Module):
        out_channels = [4]
        in_chans = 3

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 2, 2)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, image):
            return [self.norm(self.conv(image))]

    backbone = Backbone().train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    EncoderDecoderFactory((32, 32)).build_model("segmentation", backbone, "FCNDecoder", num_classes=2)
    assert backbone.training
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_scales_of_coordinates_learn_where_coordinates_are_given():
    model, _ = build(64, "prithvi_eo_v2_tiny_tl")
    coordinates = {"temporal_coords": torch.tensor([[[2018.0, 26.0]]]), "location_coords": torch.tensor([[41.0, -5.8]])}
    model(torch.randn(1, 6, 64, 64), **coordinates).output.sum().backward()
    assert model.encoder.temporal_embed_enc.scale.grad is not None
    assert model.encoder.location_embed_enc.scale.grad is not None
