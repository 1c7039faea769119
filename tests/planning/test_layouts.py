"""Features of any layout on their way to a decoder."""

import pytest
import torch

from geocompose.arguments import as_written
from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.needs import Needs
from geocompose.factory import EncoderDecoderFactory
from geocompose.planning import AutoNecks, plan
from tests.kit.planned import CLASSED, after, planned, written
from tests.kit.small import Vectors

TOKENS = FeatureSpec(32, 16, "tokens", num_prefix_tokens=5)
FRAMES = FeatureSpec(32, 16, "tokens", num_prefix_tokens=1, num_frames=3)
LAST = FeatureSpec(32, 16, "NHWC")
MAP = FeatureSpec(32, 16)
VECTOR = FeatureSpec(32, 1, "vector")


@pytest.mark.parametrize(
    ("specs", "necks", "widths"),
    [
        ([TOKENS] * 4, "{name: ReshapeTokensToImage, num_prefix_tokens: 5}", [32] * 4),
        ([FRAMES] * 4, "{name: ReshapeTokensToImage, effective_time_dim: 3}", [96] * 4),
        ([LAST] * 4, "{name: PermuteDims, new_order: [0, 3, 1, 2]}", [32] * 4),
        ([CLASSED, MAP], "{name: ReshapeTokensToImage}", [32, 32]),
        ([MAP, FRAMES], "{name: ReshapeTokensToImage, effective_time_dim: 3, indices: [1]}", [32, 96]),
        (
            [TOKENS, CLASSED],
            "{name: ReshapeTokensToImage, num_prefix_tokens: 5, indices: [0]}, {name: ReshapeTokensToImage, indices: "
            "[1]}",
            [32, 32],
        ),
        (
            [CLASSED, LAST, MAP],
            "{name: ReshapeTokensToImage}, {name: PermuteDims, new_order: [0, 3, 1, 2], indices: [1]}",
            [32] * 3,
        ),
        ([VECTOR], "", [32]),
    ],
)
def test_features_of_any_layouts_become_maps_together(specs, necks, widths):
    assert written("mlp", specs) == necks
    given = after(planned("mlp", specs), specs)
    assert [spec.channels for spec in given] == widths
    assert {spec.layout for spec in given} == ({"NCHW"} if specs != [VECTOR] else {"vector"})


def test_pooled_vectors_beside_maps_are_left_out():
    assert written("fcn", [MAP, MAP, VECTOR]) == "{name: SelectIndices, indices: [1]}"
    assert written("mlp", [MAP, VECTOR]) == "{name: SelectIndices, indices: [0]}"


@pytest.mark.parametrize(
    ("layouts", "specs", "necks"),
    [
        (("tokens",), [MAP, MAP], "{name: FlattenMapsToTokens}"),
        (("tokens",), [CLASSED, CLASSED], ""),
        (("tokens",), [LAST, CLASSED],
         "{name: PermuteDims, new_order: [0, 3, 1, 2], indices: [0]}, {name: FlattenMapsToTokens}"),
        (("NHWC",), [CLASSED], "{name: ReshapeTokensToImage}, {name: PermuteDims, new_order: [0, 2, 3, 1]}"),
        (("vector",), [MAP], "{name: AggregateTokens, index: null}"),
    ],
)  # fmt: skip
def test_a_decoder_that_reads_no_maps_gets_what_it_reads(layouts, specs, necks):
    found = plan(AutoNecks(), specs, Needs(layouts=layouts), maps_by_default=False)
    assert as_written(found)[1:-1] == necks
    assert {spec.layout for spec in after(found, specs)} == set(layouts)


@pytest.mark.parametrize("name", ["IdentityDecoder", "MLPDecoder"])
def test_a_backbone_of_vectors_classifies_images(name):
    model = EncoderDecoderFactory((64, 64)).build_model("classification", Vectors(), name, num_classes=3, necks="auto")
    assert model(torch.randn(2, 3, 64, 64)).output.shape == (2, 3)
