"""Modules that the factory knows nothing of: understood by their shapes, or refused with what they lack."""

import copy

import pytest
import torch
from torch import Tensor, nn

from geocompose.backbones.prithvi.builder import build_prithvi
from geocompose.decoders.fcn import FCNDecoder
from geocompose.decoders.upernet import UperNetDecoder
from geocompose.errors import UserError
from tests.kit.factory import PYRAMID, TINY, build, logits


class Maps(nn.Module):
    """A stranger's backbone: two levels of maps, and nothing declared but their widths."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = [8, 16]
        self.first, self.second = nn.Conv2d(5, 8, 4, 4), nn.Conv2d(8, 16, 2, 2)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.first(image)
        return [fine, self.second(fine)]


class Tokens(nn.Module):
    """A stranger's transformer: four layers of tokens with a class token first."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = [8] * 4
        self.embed = nn.Conv2d(5, 8, 8, 8)
        self.first = nn.Parameter(torch.zeros(1, 1, 8))

    def forward(self, image: Tensor) -> list[Tensor]:
        tokens = self.embed(image).flatten(2).transpose(1, 2)
        return [torch.cat([self.first.expand(len(tokens), -1, -1), tokens], dim=1)] * 4


class ChannelsLast(Maps):
    def forward(self, image: Tensor) -> list[Tensor]:
        return [feature.permute(0, 2, 3, 1) for feature in super().forward(image)]


def test_modules_are_used_as_they_are():
    backbone = build_prithvi("prithvi_eo_tiny", **TINY)
    decoder = FCNDecoder([32] * 6, channels=8)
    model = build(backbone=backbone, backbone_kwargs=None, decoder=decoder, decoder_kwargs=None)
    assert model.encoder is backbone
    assert model.decoder is decoder
    assert next(model.encoder.parameters()).device.type == "cpu"


def test_a_module_survives_the_trial_unchanged():
    backbone, decoder = Maps().train(), FCNDecoder([8, 16], channels=8).train()
    before = copy.deepcopy((backbone.state_dict(), decoder.state_dict()))
    build(backbone=backbone, backbone_kwargs=None, decoder=decoder, decoder_kwargs=None)
    assert all(module.training for module in (*backbone.modules(), *decoder.modules()))
    for then, now in zip(before, (backbone.state_dict(), decoder.state_dict()), strict=True):
        assert all(torch.equal(then[key], now[key]) for key in then)


def test_a_decoder_without_a_width_is_refused():
    class Widthless(nn.Module):
        def forward(self, features: list[Tensor]) -> Tensor:
            return features[-1]

    with pytest.raises(UserError, match="The decoder Widthless has no out_channels"):
        build(decoder=Widthless(), decoder_kwargs=None)


# A stranger's backbone


@pytest.mark.parametrize(("backbone", "necks"), [(Maps(), None), (Tokens(), "auto"), (ChannelsLast(), "auto")])
@pytest.mark.parametrize("decoder", ["FCNDecoder", "UperNetDecoder"])
def test_a_module_with_nothing_but_out_channels_is_understood(backbone, necks, decoder):
    model = build(backbone=backbone, backbone_kwargs=None, decoder=decoder, necks=necks)
    assert logits(model, 64, 64).shape == (1, 3, 64, 64)
    assert logits(model, 40, 72).shape == (1, 3, 40, 72)


class Dictionary(Maps):
    def forward(self, image: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return dict(enumerate(super().forward(image)))  # type: ignore[arg-type]


class Anonymous(Maps):
    def __init__(self) -> None:
        super().__init__()
        del self.out_channels


class Boastful(Maps):
    def __init__(self) -> None:
        super().__init__()
        self.out_channels = [8, 32]


class Forgetful(Maps):
    def __init__(self) -> None:
        super().__init__()
        self.out_channels = [8, 16, 32]


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (
            Dictionary(),
            "The backbone Dictionary returns a dict with the keys 0, 1; a backbone returns a list of tensors",
        ),
        (Anonymous(), "The backbone Anonymous has no out_channels"),
        (Boastful(), "Boastful returns a feature of shape .* declared 32 wide"),
        (Forgetful(), r"Forgetful declares 3 features .* and returns 2"),
        (nn.Identity(), "has no out_channels"),
    ],
)
def test_a_module_that_is_no_backbone_is_refused_with_what_it_lacks(backbone, message):
    with pytest.raises(UserError, match=message):
        build(backbone=backbone, backbone_kwargs=None)


# Wrong compositions


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"necks": [{"name": "SelectIndices", "indices": [1, 3]}]},
            r"FCNDecoder reads maps .* but gets: 32 ch, 1/16, tokens.*ReshapeTokensToImage",
        ),
        (
            {"decoder": "UperNetDecoder", "necks": PYRAMID[:2]},
            r"UperNetDecoder needs a pyramid.* strides \[16, 16, 16, 16\].*LearnedInterpolateToPyramidal",
        ),
        ({"decoder": "UperNetDecoder", "necks": None}, "UperNetDecoder needs a pyramid"),
        ({"necks": [{"name": "SelectIndices", "indices": [2, 6]}]}, "there are 6 features, so indices go from 0 to 5"),
        ({"decoder": "smp_FPN", "decoder_kwargs": None, "necks": PYRAMID[:2]}, "FPN needs a pyramid"),
        ({"backbone_kwargs": {**TINY, "out_indices": [6]}}, r"layers 0 to 5 \(or -6 to -1\), each selectable once"),
        ({"decoder_in_index": 7}, "FCNDecoder: in_index goes from -6 to 5 for 6 feature"),
        (
            {"decoder": UperNetDecoder([32, 32, 32, 7], channels=4), "decoder_kwargs": None, "necks": PYRAMID},
            "UperNetDecoder can't read these features: 8 ch, 1/4, NCHW; .*Use neck=auto",
        ),
        (
            {"backbone": "timm_test_resnet", "backbone_kwargs": None, "necks": [{"name": "ReshapeTokensToImage",
                "effective_time_dim": 2}]},
            "takes tokens .* features that are maps already have no frames to put together",
        ),
        (
            {"backbone": "timm_test_resnet", "backbone_kwargs": None, "decoder": "UNetDecoder",
                "decoder_channels": None,
             "decoder_kwargs": {"channels": [8, 4]}},
            "decoder_channels is given twice",
        ),
        (
            {"backbone": "timm_test_resnet", "backbone_kwargs": None, "decoder": "UNetDecoder",
                "decoder_kwargs": {"channels": [8, 4]}},
            "one width per feature: 5 here",
        ),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_refused_at_build_time(changes, message):
    with pytest.raises(UserError, match=message):
        build(**changes)


def test_without_necks_prithvi_gives_maps_and_other_tokens_stay():
    assert [type(neck).__name__ for neck in build(necks=None).neck] == ["ReshapeTokensToImage"]
    with pytest.raises(UserError, match="reads maps"):
        build(backbone=Tokens(), backbone_kwargs=None, necks=None)
