"""Parts of your own and arguments that can't work: what is missing or wrong, and what to write."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from torch import Tensor, nn

from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import diagnose, groups
from geocompose.contracts.features import FeatureSpec
from geocompose.decoders.mmseg.decoder import MmsegDecoder
from geocompose.errors import UserError
from tests.kit.compositions import planned
from tests.kit.places import CONF
from tests.kit.small import Tokens

# Decoders of your own


class NoWidths(nn.Module):
    def forward(self, features: list[Tensor]) -> Tensor:
        return features[-1]


class Silent(nn.Module):
    """A user's decoder that takes the widths and says nothing of itself."""

    def __init__(self, channel_list: list[int]) -> None:
        super().__init__()

    def forward(self, features: list[Tensor]) -> Tensor:
        return features[-1]


class Boastful(Silent):
    out_channels = 99


class Joining(Silent):
    """It reads a pyramid of two and doesn't say so."""

    out_channels = 16

    def forward(self, features: list[Tensor]) -> Tensor:
        fine, coarse = features[:2]
        return fine + nn.functional.interpolate(coarse, scale_factor=2.0)


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (NoWidths, r"constructor of the decoder NoWidths has to take the list of its features' widths first, such as "
             r"__init__\(self, channel_list"),
        (Silent, r"The decoder Silent has no out_channels: the width of its output, an int\. Set it in its "
             r"constructor, such as self\.out_channels = 64"),
        (Boastful, r"The decoder Boastful says out_channels=99 and returns 16 channels"),
        (Joining, r"Joining can't read these features: 16 ch, 1/16, NCHW \(4 times\)\. It stopped with: .* It declares "
             r"nothing of what it reads.*needs = Needs\(levels=2, pyramid=True\)"),
    ],
)  # fmt: skip
def test_a_decoder_class_that_declares_nothing_is_told_what_is_missing(decoder, message):
    with pytest.raises(UserError, match=message):
        planned(Tokens(), decoder)


# Decoders of other sources


def test_an_mmseg_head_without_its_arguments_names_them():
    with pytest.raises(
        UserError,
        match=r"mmseg's DAHead can't be built without decoder\.kwargs\.channels, decoder\.kwargs\.pam_channels\. Write "
        r"for "
        r"example decoder\.kwargs\.channels=256 decoder\.kwargs\.pam_channels=64; build_model takes decoder_channels",
    ):
        planned(Tokens(), partial(MmsegDecoder, name="DAHead"))


# Backbones of your own, and several modalities


class OwnBackbone(nn.Module):
    """A user's backbone of one convolution; `made` turns its map into what forward returns."""

    in_chans = 3

    def __init__(self, made: Callable[[Tensor], Any], **attributes: Any) -> None:
        super().__init__()
        self.conv, self.made = nn.Conv2d(3, 8, 4, 4), made
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, image: Tensor) -> Any:
        return self.made(self.conv(image))


def listed(maps: Tensor) -> list[Tensor]:
    return [maps]


def as_a_dict(maps: Tensor) -> dict[str, Tensor]:
    return {"res4": maps, "res5": maps}


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (OwnBackbone(listed), r"The backbone OwnBackbone has no out_channels: give it a list of its features' widths, "
             r"such as \[64, 128"),
        (OwnBackbone(listed, out_channels=8), "The backbone OwnBackbone has out_channels=8: give it a list of its "
             "features' widths"),
        (OwnBackbone(listed, out_channels=["8"]), r"has out_channels=\['8'\]: give it a list"),
        (OwnBackbone(as_a_dict, out_channels=[8, 8]), r"returns a dict with the keys 'res4', 'res5'; .* Return such a "
             r"list, for example \[features\['res4'\], features\['res5'\]\]"),
        (OwnBackbone(lambda maps: maps, out_channels=[8]), r"returns one tensor of shape \(1, 8, 16, 16\); .* Return "
             r"\[features\] and set out_channels"),
        (OwnBackbone(lambda maps: [maps, None], out_channels=[8, 8]),
             "returns list of Tensor, NoneType; a backbone returns a list of tensors"),
        (OwnBackbone(listed, out_channels=[8, 8]), r"declares 2 features \(\[8, 8\]\) and returns 1"),
        (OwnBackbone(listed, out_channels=[16]), r"returns a feature of shape \(1, 8, 16, 16\) for an image of 64 x 64 "
             r"pixels, declared 16 wide \(out_channels\): as a map it is 8 wide\. Set out_channels=\[8\]\."),
        (OwnBackbone(listed, out_channels=[8], in_chans=4), r"can't take an image of 4 channels and 64 x 64 pixels, of "
             r"shape \(1, 4, 64, 64\); .* It says in_chans=4; if that is wrong, fix in_chans"),
        (OwnBackbone(lambda maps: [maps] if maps.sum().item() > 0 else [], out_channels=[8]),
             r"tried without numbers, so its forward can't ask for any \(item\(\)"),
        (OwnBackbone(listed, out_channels=[8], feature_specs=[FeatureSpec(16, 4)]),
             r"declares its feature 0 \(feature_specs\) as 16 ch, 1/4, NCHW, which is \(16, 16, 16\) beside the batch "
             r"for 64 x 64 pixels, but returns \(8, 16, 16\). Fix feature_specs"),
        (OwnBackbone(listed, out_channels=[8], feature_specs=[FeatureSpec(8, 8)]),
             r"as 8 ch, 1/8, NCHW, which is \(8, 8, 8\) .* but returns \(8, 16, 16\)"),
        (OwnBackbone(listed, out_channels=[8], feature_specs=[FeatureSpec(8, 4), FeatureSpec(8, 8)]),
             r"declares 2 features \(feature_specs\) and returns 1"),
        (OwnBackbone(as_a_dict, out_channels=[8], feature_specs=[FeatureSpec(8, 4)]),
             "returns a dict with the keys 'res4', 'res5'"),
        (OwnBackbone(listed, out_channels=[8], feature_specs="NCHW"),
             "has feature_specs='NCHW'; they are a list of FeatureSpec"),
    ],
)  # fmt: skip
def test_a_backbone_of_ones_own_that_says_too_little_or_something_else_is_told_what_is_missing(backbone, message):
    with pytest.raises(UserError, match=message):
        planned(backbone, "FCNDecoder")


def test_a_backbone_that_says_only_its_widths_is_understood():
    assert planned(OwnBackbone(listed, out_channels=[8], in_chans=None), "FCNDecoder").backbone_features == [
        FeatureSpec(8, 4)
    ]


class SecondConvolution(nn.Module):
    """A backbone whose first convolution isn't the one that is given the image."""

    out_channels = [8]

    def __init__(self) -> None:
        super().__init__()
        self.later, self.stem = nn.Conv2d(16, 8, 1), nn.Conv2d(3, 16, 4, 4)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.later(self.stem(image))]


def test_a_backbone_whose_first_convolution_is_not_the_image_s_is_asked_for_in_chans():
    message = (
        "can't take an image of 16 channels .* Its first convolution has 16 channels; if its image has others, say so "
        "by an attribute in_chans"
    )
    with pytest.raises(UserError, match=message):
        planned(SecondConvolution(), "FCNDecoder")
    told = SecondConvolution()
    told.in_chans = 3
    assert planned(told, "FCNDecoder").backbone_features == [FeatureSpec(8, 4)]


# Parts of your own, and arguments that no part takes


class NoModule:
    def __init__(self, bands: list[str] | None = None) -> None:
        self.out_channels = [4]


def three(bands: list[str] | None = None) -> int:
    return 3


class Stops(nn.Module):
    def __init__(self, bands: list[str] | None = None) -> None:
        super().__init__()
        raise RuntimeError("no license file")


class FourChannels(nn.Module):
    """It takes no bands."""

    out_channels, in_chans = [8], 3

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.wrong = nn.Conv2d(3, 8, 4, 4), nn.Linear(17, 4)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.wrong(self.conv(image))]


class Counted(FourChannels):
    def __init__(self, in_chans: int = 3) -> None:
        super().__init__()


BANDS = {"backbone_bands": ["RED", "GREEN", "BLUE"]}


@pytest.mark.parametrize(
    ("backbone", "arguments", "message"),
    [
        (NoModule, BANDS, r"The backbone NoModule gives a NoModule, not a torch\.nn\.Module\. Let the class NoModule "
             r"derive from it"),
        (three, BANDS, r"The backbone three gives a int, not a torch\.nn\.Module\. Let it return one"),
        (Stops, BANDS, r"The backbone Stops can't be built: its constructor stopped with RuntimeError: no license "
             r"file\. Fix it"),
        (FourChannels, {}, r"an image of 3 channels and 64 x 64 pixels, of shape \(1, 3, 64, 64\); it stopped with: "
             r".*17, 4\]\. Fix its forward"),
        (FourChannels, BANDS, r"FourChannels takes no argument backbone_bands\. Its constructor has no such argument\. "
             r"Give it one of that name, or in_chans, or leave them out"),
        (FourChannels, {"backbone_width": 3}, r"takes no argument backbone_width\. Its constructor has none to give\. "
             r"Leave it out"),
        (Counted, BANDS, r"Give it their number, backbone_in_chans, or leave them out"),
    ],
)  # fmt: skip
def test_a_class_of_ones_own_that_can_not_be_built_or_run_is_told_why(backbone, arguments, message):
    with pytest.raises(UserError, match=message) as refusal:
        planned(backbone, "FCNDecoder", **arguments)
    assert refusal.value.part == "backbone"
    assert "first convolution" not in str(refusal.value)


@pytest.mark.parametrize(
    ("decoder", "arguments", "message"),
    [
        ("UperNetDecoder", {"decoder_chanels": 64}, r"takes no argument decoder_chanels\. Did you mean "
             r"'decoder_channels'\? Allowed: decoder_channels"),
        ("UperNetDecoder", {"head_droput": 0.1}, r"takes no argument head_droput\. Did you mean 'head_dropout'"),
        ("UperNetDecoder", {"decoder_in_channels": [8, 16]}, r"takes no argument decoder_in_channels\. The widths of "
             r"the features follow from backbone and necks\. Leave it out"),
        ("LinearDecoder", {"head_dropout": 0.1}, r"head_dropout \(head\.dropout\) would have no effect; leave it out"),
        (Silent, {}, "Silent has no out_channels"),
    ],
)  # fmt: skip
def test_an_argument_that_a_decoder_or_head_does_not_take_is_answered_with_its_part(decoder, arguments, message):
    with pytest.raises(UserError, match=message) as refusal:
        planned(Tokens(), decoder, **arguments)
    assert refusal.value.part in ("decoder", "head")


def test_widths_of_features_are_no_setting():
    with pytest.raises(HydraException), initialize_config_dir(str(CONF), version_base="1.3"):
        hydra_compose("config", overrides=["decoder=upernet", "decoder.in_channels=[64,128]"])
    fault = diagnose(["decoder=upernet", "decoder.in_channels=[64,128]"], CONF)
    assert str(fault) == (
        "decoder has no key 'in_channels'. The widths of the features follow from backbone and necks. Leave it out."
    )
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra_compose("config", overrides=["decoder=upernet", "+decoder.in_channels=[64,128]"])
    with pytest.raises(UserError, match=r"decoder has no key 'in_channels'\. The widths of the features follow"):
        check(composed, groups(CONF))
