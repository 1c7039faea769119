"""Decoders in models that the factory composes, as TerraTorch's users write them."""

from typing import Any

import pytest
import torch
from torch import nn

from geocompose.decoders.smp.decoder import SmpDecoder
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.models import PixelWiseModel

PRITHVI = {"embed_dim": 48, "depth": 4, "num_heads": 4, "img_size": 64}
TO_MAPS = [{"name": "SelectIndices", "indices": [0, 1, 2, 3]}, {"name": "ReshapeTokensToImage"}]


def composed(decoder: str, **more: Any) -> PixelWiseModel:
    arguments: dict[str, Any] = {
        "task": "segmentation", "backbone": "prithvi_eo_v2_300", "backbone_kwargs": PRITHVI, "num_classes": 3,
        "necks": "auto",
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
        composed(
            "UperNetDecoder", backbone="timm_test_convnext", backbone_kwargs={}, necks=None, decoder_scale_modules=True
        )


def test_head_arguments_for_a_pooling_that_has_its_head_are_refused():
    with pytest.raises(UserError, match="ASPPSegmentationHead includes its head, so head_dropout"):
        composed("ASPPSegmentationHead", head_dropout=0.2)


def test_squeeze_and_excitation_in_unetplusplus_takes_wide_features():
    decoder = SmpDecoder([1, 16, 16, 32], "UnetPlusPlus", {"attention_type": "scse", "decoder_channels": [16, 16, 16]})
    given = [torch.randn(1, width, size, size) for width, size in ((1, 32), (16, 16), (16, 8), (32, 4))]
    assert decoder(given).shape == (1, 16, 32, 32)
