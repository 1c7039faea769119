"""Levels, tokens and needs that were misread without a word."""

import re

import pytest
import torch
import yaml
from torch import nn

from geocompose.decoders.smp.architectures import ARCHITECTURES
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.registry import DECODER_REGISTRY
from tests.kit.compositions import built


def test_tokens_of_a_wide_image_become_a_wide_map_and_not_a_scrambled_square():
    model, _ = built(64, decoder="FCNDecoder", backbone_depth=4, decoder_channels=4)
    image = torch.randn(1, 6, 128, 512)  # 8 x 32 tokens, of which a square of 16 x 16 could be made
    with torch.inference_mode():
        tokens = model.eval().encoder(image)[-1]
        grid = model.neck([tokens], (128, 512))[-1]
    assert grid.shape[2:] == (8, 32)
    for row, column in ((0, 0), (0, 31), (3, 17), (7, 0), (7, 31)):
        assert torch.equal(grid[:, :, row, column], tokens[:, 1 + 32 * row + column])


# Heads of mmsegmentation are held to the same in tests/decoders/test_mmseg.py.
@pytest.mark.parametrize("decoder", [name for name in DECODER_REGISTRY if not name.startswith("mmseg_")])
def test_layers_of_one_scale_are_refused_by_a_decoder_that_would_read_them_as_a_pyramid(decoder):
    # UPerNet once ran on four layers at stride 16 without a word; others failed far inside.
    name = decoder.removeprefix("smp_")
    wants_scales = (
        ARCHITECTURES[name].needs.pyramid if "smp_" in decoder else decoder in ("UperNetDecoder", "UNetDecoder")
    )

    def model():
        arguments = {"backbone_embed_dim": 48, "backbone_num_heads": 4, "decoder": decoder}
        return EncoderDecoderFactory((64, 64)).build_model(
            "segmentation", "prithvi_eo_tiny", num_classes=3, **arguments
        )

    if wants_scales:
        with pytest.raises(
            UserError, match=r"needs a pyramid, finest level first.*strides \[16, 16, 16, 16\]|needs [56] features"
        ):
            model()
    else:
        with torch.inference_mode():
            assert model().eval()(torch.randn(1, 6, 64, 96)).output.shape == (1, 3, 64, 96)


# What reads less than somebody selected. TerraTorch's own models do, and have to load: so it is said, not refused.

ONE_SCALE_TO_FOUR = [
    {"name": "SelectIndices", "indices": [2, 5, 8, 11]},
    {"name": "ReshapeTokensToImage"},
    {"name": "LearnedInterpolateToPyramidal"},
]


FROM_STRIDE_4 = [{"name": "SelectIndices", "indices": [1, 2, 3, 4]}]


@pytest.mark.parametrize(
    "decoder",
    [f"smp_{arch}" for arch, row in ARCHITECTURES.items() if row.needs.skips],
)
@pytest.mark.parametrize(
    ("backbone", "necks"),
    [
        ("timm_test_resnet", FROM_STRIDE_4),
        ("timm_test_resnet", None),
        ("prithvi_eo_v2_tiny_tl", ONE_SCALE_TO_FOUR),
    ],
)
def test_a_level_that_a_decoder_skips_is_told_with_the_list_that_saves_it(decoder, backbone, necks):
    with torch.device("meta"):
        _, plan = built(64, backbone, decoder, necks=necks)
    if decoder == "smp_DeepLabV3Plus" and necks is None:  # it reads two levels, whatever there is before them
        assert plan.warnings == []
        return
    (warning,) = plan.warnings
    assert re.search(
        r"skips the first (2 )?features?, where it expects the image's own resolution, and so never reads", warning
    )
    added = re.search(r"Add to the end of neck\.necks: (.*)\. Or use neck=auto\.", warning)
    whole = re.search(r"'neck\.necks=(\[.*\])'", warning)
    assert added or whole
    written = [*(necks or []), *yaml.safe_load(f"[{added.group(1)}]")] if added else yaml.safe_load(whole.group(1))
    with torch.device("meta"):
        _, plan = built(64, backbone, decoder, necks=written)
        assert plan.warnings == []
        assert not [name for name in plan.unreached if name.startswith("neck.") and decoder != "smp_DeepLabV3Plus"]
        assert built(64, backbone, decoder)[1].warnings == []  # neck=auto


def test_a_level_that_is_skipped_is_told_when_the_model_is_built(caplog):
    with caplog.at_level("WARNING", logger="geocompose"):
        built(64, "timm_test_resnet", "smp_Unet", necks=FROM_STRIDE_4)
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.startswith("smp_Unet skips the first feature")
    assert "Add to the end of neck.necks: {name: AddInputLevel}" in said


# Tokens and needs that only look as if they were understood


class Tokens(nn.Module):
    """A backbone of patches of 16 pixels that says nothing of them; `made` turns its tokens into what it returns."""

    out_channels, in_chans = [24], 3

    def __init__(self, made, only=None):
        super().__init__()
        self.patch, self.made, self.only = nn.Conv2d(3, 24, 16, 16), made, only

    def forward(self, image):
        if self.only is not None and image.shape[-1] != self.only:
            raise ValueError(f"images of {self.only} pixels only")
        return [self.made(self.patch(image).flatten(2).transpose(1, 2))]


@pytest.mark.parametrize(
    ("made", "only", "message"),
    [
        (lambda tokens: tokens[:, :-3], None, r"returns 13 tokens for an image of 64 x 64 pixels and 29 for 128 x 64"),
        (lambda tokens: tokens[:, :1].expand(-1, 64, -1), None, "64 tokens for an image of 64 x 64 pixels and 64 for "
             "128 x 64"),
        (lambda tokens: tokens[:, :-3], 64, r"13 tokens for an image of 64 x 64 pixels and 29 for 128 x 64"),
    ],
)  # fmt: skip
def test_tokens_that_no_grid_explains_are_not_explained_by_an_invented_patch(made, only, message):
    with pytest.raises(UserError, match=rf"{message}, which no grid of patches with prefix tokens before it explains"):
        built(64, Tokens(made, only), "FCNDecoder")


def test_tokens_of_a_backbone_of_one_size_are_not_explained_by_more_prefix_tokens_than_cells():
    backbone = Tokens(lambda tokens: tokens[:, :-3])
    backbone.fixed_size, backbone.img_size = True, 64
    with pytest.raises(UserError, match="returns 13 tokens for an image of 64 x 64 pixels, the one size that it takes"):
        built(64, backbone, "FCNDecoder")


def test_tokens_with_prefix_tokens_are_still_understood():
    def with_class_token(tokens):
        return torch.cat([tokens[:, :1], tokens], dim=1)

    for only in (None, 64):
        (spec,) = built(64, Tokens(with_class_token, only), "FCNDecoder")[1].backbone_features
        assert (spec.stride, spec.num_prefix_tokens) == (16, 1)


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"levels": 4}, r"declares needs = \{'levels': 4\}, which is not a Needs\. Write needs = Needs\(levels=4\), "
             r"from geocompose"),
        ({"levls": 4}, r"Needs has no 'levls'\. Did you mean 'levels'"),
        (4, r"Write needs = Needs\(levels=2, pyramid=True\)"),
    ],
)  # fmt: skip
def test_needs_that_are_none_are_not_passed_over(needs, message):
    class Declares(nn.Module):
        out_channels = 24

        def __init__(self, channel_list):
            super().__init__()

        def forward(self, features):
            return features[-1]

    Declares.needs = needs
    with pytest.raises(UserError, match=message):
        built(64, "timm_test_resnet", Declares)
