"""Models that once were wrong, or learned wrongly, without a word."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from geocompose.cost.summary import summarize
from geocompose.decoders.fcn import FCNDecoder
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.registry import MultiSourceRegistry
from tests.kit.compositions import built

PYRAMID_OF_FOUR = [
    {"name": "ReshapeTokensToImage"},
    {"name": "LearnedInterpolateToPyramidal", "exponents": [2, 1, 1, 0]},
    {"name": "AddInputLevel"},
    {"name": "AddInputLevel"},
]


@pytest.mark.parametrize("size", [48, 64, 80, 112, 240])
def test_padding_does_not_depend_on_the_size_of_the_tiles(size):
    model, plan = built(size, backbone_depth=4)
    assert [spec.stride for spec in plan.decoder_features] == [4, 8, 16, 32]
    assert model.pad_multiple == 32


def test_a_patch_of_14_is_quartered_exactly():
    with torch.device("meta"):
        model, plan = built(64, "prithvi_eo_v2_600", backbone_depth=4)
    assert [spec.stride for spec in plan.decoder_features] == [Fraction(7, 2), 7, 14, 28]
    assert model.pad_multiple == 28


def test_models_built_for_different_tiles_say_the_same():
    first, _ = built(80, backbone_depth=4)
    second, _ = built(64, backbone_depth=4)
    second.load_state_dict(first.state_dict())
    image = torch.randn(1, 6, 80, 80)
    with torch.inference_mode():
        assert torch.equal(first.eval()(image).output, second.eval()(image).output)


@pytest.mark.parametrize(
    ("backbone", "decoder", "arguments"),
    [
        ("prithvi_eo_v2_tiny_tl", "UperNetDecoder", {}),  # scales of coordinates that no data gives
        ("prithvi_eo_tiny", "smp_DeepLabV3Plus", {"necks": PYRAMID_OF_FOUR}),  # it reads two of the pyramid's levels
        (
            "timm_test_resnet",
            "FCNDecoder",
            {"decoder_in_index": 0, "decoder_num_convs": 1},
        ),  # later stages are never read
    ],
)
def test_what_no_output_depends_on_does_not_wait_for_a_gradient(backbone, decoder, arguments):
    # DistributedDataParallel stops at its second step where a trainable parameter got no gradient.
    model, plan = built(64, backbone, decoder, coordinates=(), **arguments)
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
    with pytest.raises(UserError, match="depth must be 1 or more; got 0"):
        built(64, backbone_depth=0)


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
    model, _ = built(64, "prithvi_eo_v2_tiny_tl")
    coordinates = {"temporal_coords": torch.tensor([[[2018.0, 26.0]]]), "location_coords": torch.tensor([[41.0, -5.8]])}
    model(torch.randn(1, 6, 64, 64), **coordinates).output.sum().backward()
    assert model.encoder.temporal_embed_enc.scale.grad is not None
    assert model.encoder.location_embed_enc.scale.grad is not None


def test_an_image_of_whole_patches_is_not_padded_any_further():
    model, _ = built(240, decoder="FCNDecoder", backbone_depth=4, decoder_channels=4)
    seen = []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[-2:])))
    with torch.inference_mode():
        model(torch.randn(1, 6, 240, 256))
    assert seen == [(240, 256)]


def test_a_head_of_two_outputs_is_refused_where_one_was_asked_for():
    # Its second output would be dropped with the dimension of channels.
    with pytest.raises(UserError, match="gives 2"):
        EncoderDecoderFactory((64, 64)).build_model(
            "regression", "prithvi_eo_tiny", "FCNDecoder", head=nn.Conv2d(256, 2, 1), num_outputs=1
        )


@pytest.mark.parametrize(
    ("task", "counts", "arguments"),
    [
        ("segmentation", {"num_classes": 3}, {"head": nn.Conv2d(8, 5, 1)}),
        ("regression", {}, {"head": nn.Conv2d(8, 3, 1)}),  # all but the first variable were dropped
        ("scalar_regression", {"num_outputs": 2}, {"head": nn.Conv2d(8, 5, 1)}),
    ],
)
def test_a_head_with_another_number_of_outputs_than_the_task_is_refused(task, counts, arguments):
    with pytest.raises(UserError, match=r"gives? [35]( outputs)?"):
        EncoderDecoderFactory((64, 64)).build_model(
            task, "prithvi_eo_tiny", "FCNDecoder", decoder_channels=8, **counts, **arguments
        )


def test_the_centre_that_is_kept_is_the_images_not_the_padded_ones():
    model = EncoderDecoderFactory((33, 33)).build_model(
        "segmentation", "prithvi_eo_tiny", "FCNDecoder", num_classes=2, decoder_channels=8
    )
    image = torch.randn(1, 6, 33, 35)
    model.eval()
    with torch.inference_mode():
        whole = model(image).output
        model.image_size_out = (31, 31)
        assert torch.equal(model(image).output, whole[..., 1:32, 2:33])
        model.image_size_out = (30, 32)
        assert torch.equal(model(image).output, whole[..., 1:31, 1:33])


class TwicePassed(nn.Module):
    """Calls one layer in two places, and another with the first one's weights."""

    out_channels = (6, 6)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(6, 6, 3, 2, 1), nn.BatchNorm2d(6))
        self.again = self.first
        self.tied = nn.Conv2d(6, 6, 1)
        self.tied.bias = self.first[0].bias

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.first(image)
        return [fine, self.tied(self.again(fine))]


def test_a_backbone_that_calls_a_layer_twice_keeps_its_weights():
    backbone = TwicePassed()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    model = EncoderDecoderFactory((64, 64)).build_model(
        "segmentation", backbone, "FCNDecoder", num_classes=2, decoder_channels=8
    )
    summarize(model, image_size=(64, 64))
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())
    assert model.encoder.again is model.encoder.first
    assert model(torch.randn(2, 6, 64, 64)).output.shape == (2, 2, 64, 64)


def test_a_source_whose_prefix_would_never_be_found_is_refused():
    with pytest.raises(ValueError, match="ends at the first underscore"):
        MultiSourceRegistry("backbone", "geocompose.backbones").register_source("my_zoo", {})
