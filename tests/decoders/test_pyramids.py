"""Decoders of pyramids: UPerNet, U-Net and what they refuse."""

import pytest
import torch
from omegaconf import OmegaConf

from geocompose.decoders.unet import UNetDecoder
from geocompose.decoders.upernet import UperNetDecoder
from geocompose.errors import UserError
from geocompose.necks.pyramid import LearnedInterpolateToPyramidal
from geocompose.registry import DECODER_REGISTRY
from tests.kit.decoder_cases import shake


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
        (lambda: UperNetDecoder([8, 8], channels=0), "UperNetDecoder: channels must be a whole number, 1 or more"),
        (lambda: UperNetDecoder([8, 8], pool_scales=[]), "UperNetDecoder: pool_scales must be a list of one or more"),
        (lambda: UperNetDecoder([8, 8], pool_scales=[0]), "pool_scales must be a whole number, 1 or more; got 0"),
        (lambda: UNetDecoder([8, 8], channels=[16]), r"decoder.channels has one width per feature: 2 here, got \[16\]"),
        (lambda: UNetDecoder([8, 8], channels=[16, 0]), "UNetDecoder: channels must be a whole number, .*; got 0"),
        (lambda: UNetDecoder([8, 8], attention_type="se"), "attention_type must be null or scse; got 'se'"),
        (lambda: UNetDecoder([8, 8], [16, 8], attention_type="scse"), "16 or more each with attention_type=scse"),
        (lambda: DECODER_REGISTRY.build("FCNDecoder", [8], channels=0), "FCNDecoder: channels must be a whole number"),
        (lambda: DECODER_REGISTRY.build("FCNDecoder", [8], num_convs=-1), "num_convs must be a whole number, 0 "),
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
