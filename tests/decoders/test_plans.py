"""Which necks lead to each decoder, and what a decoder refuses to read."""

from typing import Any

import pytest

from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.needs import needs_of
from geocompose.decoders.aspp import ASPPDecoder
from geocompose.decoders.identity import IdentityDecoder
from geocompose.decoders.mlp import MLPDecoder
from geocompose.decoders.smp.architectures import ARCHITECTURES
from geocompose.decoders.upernet import UperNetDecoder
from geocompose.errors import UserError
from geocompose.planning import AutoNecks, padding_multiple, plan
from geocompose.planning.checks import check_needs
from geocompose.registry import DECODER_REGISTRY


def specs(*strides: int, layout: Any = "NCHW", width: int = 16) -> list[FeatureSpec]:
    return [FeatureSpec(width, stride, layout) for stride in strides]


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("strides", [(2, 4, 8, 16, 32), (4, 8, 16, 32), (1, 2, 4, 8, 16), (16, 16, 16, 16)])
def test_an_smp_decoder_is_given_what_it_skips_before_every_level_that_it_reads(arch, strides):
    """So that none of the backbone's own levels is passed over: TerraTorch's smp decoders drop the finest ones."""
    needs = ARCHITECTURES[arch].needs
    necks = [neck["name"] for neck in plan(AutoNecks(), specs(*strides), needs, maps_by_default=False)]
    assert necks[len(necks) - needs.skips :] == ["AddInputLevel"] * needs.skips
    assert necks.count("AddInputLevel") == needs.skips


@pytest.mark.parametrize(
    ("decoder", "given", "message"),
    [
        (
            ("smp_Linknet", {}),
            specs(1, 4, 8, 16, 16),
            r"half as fine as the one before, but it gets levels at strides \[1, 4, 8, 16, 16\] \(it skips the first\)",
        ),
        (("smp_FPN", {}), specs(2, 4, 8, 32), "smp_FPN doubles its way from the last feature to the finest"),
        (("smp_PAN", {}), specs(1, 4, 8), r"smp_PAN needs 4 features or more \(it skips the first 2\), but gets 3"),
        (
            ("UperNetDecoder", {"scale_modules": True}),
            specs(4, 8, 16, 32),
            r"they must have one resolution, but it gets levels at strides \[4, 8, 16, 32\]",
        ),
        (
            ("UperNetDecoder", {}),
            specs(1, 1, layout="vector"),
            "reads maps .* but gets: 16 ch, vector.*No neck makes maps of vectors",
        ),
        (("FCNDecoder", {}), specs(8, layout="NHWC"), r"PermuteDims, new_order: \[0, 3, 1, 2\]"),
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
            check_needs(decoder.__name__, needs_of(decoder, {}), specs(16, layout=layout))
