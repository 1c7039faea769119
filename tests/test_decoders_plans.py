"""Which necks lead to each decoder, and what a decoder refuses to read."""

from typing import Any

import pytest

from geocompose.decoders.aspp import ASPPDecoder
from geocompose.decoders.identity import IdentityDecoder
from geocompose.decoders.mlp import MLPDecoder
from geocompose.decoders.needs import needs_of
from geocompose.decoders.smp_architectures import ARCHITECTURES
from geocompose.decoders.upernet import UperNetDecoder
from geocompose.errors import UserError
from geocompose.features import FeatureSpec
from geocompose.planning import AutoNecks, check_needs, padding_multiple, plan
from geocompose.registry import DECODER_REGISTRY


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
