"""Necks that can't work, each answered when it is built: which neck, what it got, what to write."""

import re
from typing import Any

import pytest
import yaml
from torch import Tensor, nn

from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from tests.kit.compositions import planned
from tests.kit.small import Maps, Tokens, Vectors

# Lists of necks, written by hand

LAYERS = {"name": "SelectIndices", "indices": [0, 1, 2, 3]}


TO_MAPS = {"name": "ReshapeTokensToImage"}


PYRAMID = {"name": "LearnedInterpolateToPyramidal"}


AUTO = r"Or use neck=auto\."


LISTS: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    "tokens left before a decoder of convolutions": (
        "UNetDecoder", [LAYERS],
        r"UNetDecoder reads maps \(B, channels, rows, columns\), but gets: 16 ch, 1/16, tokens \(4 times\)\. Add to "
            r"the end of "
        rf"neck\.necks: \{{name: ReshapeTokensToImage\}}, \{{name: LearnedInterpolateToPyramidal\}}\. {AUTO}",
    ),
    "tokens left before a neck of convolutions": (
        "UNetDecoder", [LAYERS, PYRAMID],
        r"neck\.necks\[1\] \(LearnedInterpolateToPyramidal\) can't read what it gets: 16 ch, 1/16, tokens \(4 "
            r"times\)\. Tokens are not "
        r"maps yet: write \{name: ReshapeTokensToImage\} before it, or use neck=auto\.",
    ),
    "all levels at stride 16 before a UPerNet": (
        "UperNetDecoder", [LAYERS, TO_MAPS],
        r"UperNetDecoder needs a pyramid, finest level first, but gets levels at strides \[16, 16, 16, 16\]: it would "
            r"run at the "
        rf"wrong scale\. Add to the end of neck\.necks: \{{name: LearnedInterpolateToPyramidal\}}\. {AUTO}",
    ),
    "all levels at stride 16 behind a level to skip": (
        "smp_Unet", [TO_MAPS, {"name": "AddInputLevel"}],
        r"strides \[1, 16, 16, 16, 16\] \(it skips the first\).* Add before AddInputLevel in neck\.necks: \{name: "
            r"Learned",
    ),
    "indices beyond the depth": (
        "UNetDecoder", [{"name": "SelectIndices", "indices": [2, 5, 8, 11]}, TO_MAPS, PYRAMID],
        r"neck\.necks\[0\] \(SelectIndices\): there are 4 features, so indices go from 0 to 3 \(or -4 to -1\); got "
            r"\[2, 5, 8, 11\]\. "
        r"Write for example \[0, 1, 2, 3\]\.",
    ),
    "a pyramid of three for a decoder of four": (
        "smp_FPN", [{"name": "SelectIndices", "indices": [0, 1, 3]}, TO_MAPS, PYRAMID],
        r"smp_FPN needs 4 features or more, but gets 3: 8 ch, 1/8, NCHW; 16 ch, 1/16, NCHW; 16 ch, 1/32, NCHW\. Add to "
            r"the end of "
        rf"neck\.necks: \{{name: SelectIndices, indices: \[0, 0, 1, 2\]\}}, \{{name: Learned.* {AUTO}",
    ),
    "an unknown name": (
        "UNetDecoder", [LAYERS, {"name": "ReshapeTokensToImages"}, PYRAMID],
        r"neck\.necks\[1\] \(ReshapeTokensToImages\): There is no neck 'ReshapeTokensToImages'\. Did you mean "
            r"'ReshapeTokensToImage'\? "
        r"Allowed: .*SelectIndices",
    ),
    "an argument of another neck": (
        "UNetDecoder", [LAYERS, TO_MAPS, {"name": "MaxpoolToPyramidal", "scale_factor": 2}],
        r"neck\.necks\[2\] \(MaxpoolToPyramidal\) takes no argument 'scale_factor'",
    ),
    "a class token kept": (
        "UNetDecoder", [LAYERS, {**TO_MAPS, "remove_cls_token": False}, PYRAMID],
        r"neck\.necks\[1\] \(ReshapeTokensToImage\): .* tokens in 1 frame.* Write \{name: ReshapeTokensToImage\} "
            r"instead\.",
    ),
    "maps turned as if their channels were last": (
        "UNetDecoder", [TO_MAPS, {"name": "PermuteDims", "new_order": [0, 3, 1, 2]}],
        r"neck\.necks\[1\] \(PermuteDims\) makes of 16 ch, 1/16, NCHW \(4 times\) what no decoder reads.* Leave it out",
    ),
    "a pyramid of a pyramid": (
        "UNetDecoder", [TO_MAPS, PYRAMID, {"name": "MaxpoolToPyramidal"}],
        r"neck\.necks\[2\] \(MaxpoolToPyramidal\) makes a pyramid of maps of one resolution; these have 4, so they are "
            r"one already\. Leave it",
    ),
    "the coarsest level first": (
        "UperNetDecoder", [TO_MAPS, PYRAMID, {"name": "SelectIndices", "indices": [3, 2, 1, 0]}],
        r"strides \[32, 16, 8, 4\].* Add to the end of neck\.necks: \{name: SelectIndices, indices: \[3, 2, 1, 0\]\}",
    ),
    "vectors for a decoder of maps": (
        "FCNDecoder", [{"name": "AggregateTokens"}],
        r"FCNDecoder reads maps .*, but gets: 16 ch, vector\. Vectors have no rows and columns: leave AggregateTokens "
            r"out",
    ),
    "a width that cannot be divided": (
        "smp_PSPNet", [TO_MAPS, {"name": "ProjectChannels", "channels": 6}],
        rf"smp_PSPNet needs features of 4 channels or more in multiples of 4, but gets \[6\]\. Add .*ProjectChannels, "
            rf"channels: 8\}}\. {AUTO}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LISTS)
def test_a_wrong_list_of_necks_is_answered_with_the_neck_and_what_to_write(case):
    decoder, necks, message = LISTS[case]
    with pytest.raises(UserError, match=message):
        planned(Tokens(), decoder, necks)


def test_the_advice_for_a_wrong_list_is_a_right_list():
    """What the messages above say to add, added."""
    added = {"name": "SelectIndices", "indices": [0, 0, 1, 2]}, {**PYRAMID, "exponents": [1, 0, 0, 0]}
    assert planned(Tokens(), "UNetDecoder", [LAYERS, TO_MAPS, PYRAMID]).decoder_features[0].stride == 4
    plan = planned(Tokens(), "smp_FPN", [{"name": "SelectIndices", "indices": [0, 1, 3]}, TO_MAPS, PYRAMID, *added])
    assert [spec.stride for spec in plan.decoder_features] == [4, 8, 16, 32]


def test_without_necks_the_advice_begins_with_what_was_there():
    """Prithvi's tokens become maps without necks, but not with a list."""
    with pytest.raises(
        UserError,
        match=r"Use neck=auto, or neck=list 'neck\.necks=\[\{name: ReshapeTokensToImage\}, \{name: SelectIndices, "
        r"indices: "
        r"\[2, 5, 8, 11\]\}, \{name: LearnedInterpolateToPyramidal\}\]'",
    ):
        planned("prithvi_eo_v2_tiny_tl", "UperNetDecoder", None)


# What neck=auto can't do, it doesn't send back to neck=auto


@pytest.mark.parametrize("decoder", ["UNetDecoder", "IdentityDecoder", "MLPDecoder", "smp_Unet"])
def test_vectors_for_a_map_are_refused_with_what_reads_them(decoder):
    with pytest.raises(
        UserError,
        match=r"but gets: 8 ch, vector\. No neck makes maps of vectors.*task=classification, decoder=identity",
    ) as refusal:
        planned(Vectors(), decoder)
    assert "neck=auto" not in str(refusal.value)


def test_an_auxiliary_decoder_that_needs_other_necks_than_the_main_one_is_told_so():
    with pytest.raises(
        UserError, match=r"UperNetDecoder needs a pyramid.* neck=auto plans for the main decoder, FCNDecoder"
    ):
        planned(Tokens(), "FCNDecoder", aux_decoders=[{"name": "a", "decoder": "UperNetDecoder"}])


IN = {"name": "AddInputLevel"}


class PlacesAndVector(nn.Module):
    """A user's backbone of two maps and the vector of a classifier."""

    in_chans, out_channels = 3, [8, 16, 4]

    def __init__(self) -> None:
        super().__init__()
        self.maps = Maps([8, 16], [8, 16])
        self.last = nn.Linear(16, 4)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine, coarse = self.maps(image)
        return [fine, coarse, self.last(coarse.mean(dim=(2, 3)))]


@pytest.mark.parametrize(
    ("backbone", "decoder", "necks"),
    [
        (Tokens, "UperNetDecoder", [TO_MAPS, IN]),  # it would read the level that only others skip
        (Tokens, "FCNDecoder", [{"name": "SelectIndices", "indices": [0]}, IN]),
        (Tokens, "smp_PAN", [TO_MAPS, IN]),  # it skips two
        (Tokens, "smp_DPT", [TO_MAPS, IN]),
        (Tokens, "smp_DeepLabV3Plus", [TO_MAPS, PYRAMID, IN, IN]),
        (Tokens, "MLPDecoder", None),  # a head finds no pixels in tokens
        (Tokens, "IdentityDecoder", [{"name": "SelectIndices", "indices": [-1]}]),
        (PlacesAndVector, "FCNDecoder", None),
        (PlacesAndVector, "UperNetDecoder", []),
    ],
)
def test_the_list_that_a_refusal_writes_works(backbone, decoder, necks):
    with pytest.raises(UserError) as refusal:
        planned(backbone(), decoder, necks=necks)
    said = str(refusal.value)
    whole = re.search(r"'neck\.necks=(\[.*\])'", said)
    more = re.search(r"Add (to the end of|before AddInputLevel in) neck\.necks: (.*)\. Or use", said)
    assert whole or more, said
    if whole:
        written = yaml.safe_load(whole.group(1))
    else:
        place = (necks or []).index(IN) if more.group(1).startswith("before") else len(necks or [])
        written = [*(necks or [])]
        written[place:place] = yaml.safe_load(f"[{more.group(2)}]")
    planned(backbone(), decoder, necks=written)


def test_maps_and_tokens_are_not_joined_by_a_perceptron():
    with pytest.raises(UserError, match=r"MLPDecoder joins features of one kind.*Use neck=auto"):
        EncoderDecoderFactory((64, 64)).trial(
            "classification",
            Tokens(),
            "MLPDecoder",
            num_classes=3,
            necks=[{"name": "SelectIndices", "indices": [0]}, IN],
        )


# Necks in the wrong order, and sizes


def test_a_pyramid_of_tokens_is_told_before_its_widths():
    last = {"name": "SelectIndices", "indices": [2, 5, 8, 11]}
    with pytest.raises(
        UserError,
        match=r"neck\.necks\[0\] \(LearnedInterpolateToPyramidal\) can't read what it gets: 192 ch, 1/16, tokens \(12 "
        r"times\)\. Tokens are "
        r"not maps yet: write \{name: ReshapeTokensToImage\} before it, or use neck=auto\.",
    ):
        planned("prithvi_eo_v2_tiny_tl", "UperNetDecoder", [PYRAMID, TO_MAPS, last])
