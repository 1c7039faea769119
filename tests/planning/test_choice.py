"""What a user may ask for, and auxiliary decoders."""

import pytest
import torch

from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.needs import Needs, needs_of
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.planning import AutoNecks, neck_choice, plan
from tests.kit.planned import CLASSED, PYRAMIDS, maps, needs
from tests.kit.small import Maps, Tokens, decoder


def test_a_feature_that_somebody_counted_out_stays_where_it_was():
    reads_third = needs_of(decoder("fcn").func, {"in_index": 2})  # type: ignore[attr-defined]
    assert plan(AutoNecks(), [CLASSED] * 12, reads_third, maps_by_default=False) == [{"name": "ReshapeTokensToImage"}]


def test_an_auxiliary_decoder_that_reads_more_than_the_last_feature_keeps_the_others():
    necks = plan(AutoNecks(), maps([4, 8, 16]), needs("fcn"), maps_by_default=False, auxiliary=[Needs()])
    assert necks == []
    necks = plan(AutoNecks(), maps([4, 8, 16]), needs("fcn"), maps_by_default=False, auxiliary=[needs("aspp")])
    assert necks == [{"name": "SelectIndices", "indices": [-1]}]


@pytest.mark.parametrize(("index", "width"), [(0, 8), (1, 16), (-1, 24)])
def test_a_level_that_the_main_decoder_skips_is_not_the_first_of_an_auxiliary_one(index, width):
    # It once learned from a level of zeros, and read the next finer one where it was given a number.
    model = EncoderDecoderFactory((64, 96)).build_model(
        "segmentation",
        Maps([8, 16, 24], [4, 8, 16]),
        "smp_Unet",
        num_classes=2,
        necks="auto",
        aux_decoders=[
            {
                "name": "one",
                "decoder": "FCNDecoder",
                "decoder_args": {"decoder_in_index": index, "decoder_channels": 4},
            },
            {"name": "all", "decoder": "UperNetDecoder", "decoder_args": {"decoder_channels": 4}},
            {"name": "skips", "decoder": "smp_Segformer", "decoder_args": None},
        ],
    )
    seen = {}
    for name, branch in model.aux_heads.items():
        branch[0].register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0]}))
    with torch.inference_mode():
        model(torch.randn(2, 3, 50, 70))
    assert seen["one"][index].shape[1] == width
    assert [feature.shape[1] for feature in seen["all"]] == [8, 16, 24]
    assert [feature.shape[1] for feature in seen["skips"]] == [1, 8, 16, 24]


# What may be asked for


def test_a_pyramid_of_another_kind_is_refused():
    with pytest.raises(
        UserError, match=r"neck\.pyramid has no value 'learnt'. Did you mean 'learned'.*interpolated, pooled"
    ):
        AutoNecks("learnt")  # type: ignore[arg-type]


def test_a_written_neck_without_a_name_is_told_by_its_position():
    with pytest.raises(UserError, match=r"neck.necks\[1\] is 'ReshapeTokensToImage'"):
        neck_choice([{"name": "SelectIndices", "indices": [0]}, "ReshapeTokensToImage"])


@pytest.mark.parametrize("pyramid", PYRAMIDS)
def test_the_pyramid_asked_for_is_in_the_model(pyramid):
    factory = EncoderDecoderFactory((64, 64))
    model = factory.build_model("segmentation", Tokens(), decoder("upernet"), num_classes=3, necks=AutoNecks(pyramid))
    name = {"learned": "Learned", "interpolated": "Interpolate", "pooled": "Maxpool"}[pyramid]
    assert type(model.neck[-1]).__name__.startswith(name)
    assert model(torch.randn(1, 3, 50, 37)).output.shape == (1, 3, 50, 37)


def test_a_decoder_that_joins_more_features_than_there_are_gets_one_of_them_twice():
    needs = Needs(levels=2)
    assert plan(AutoNecks(), [FeatureSpec(6, 1)], needs, maps_by_default=False) == [
        {"name": "SelectIndices", "indices": [0, 0]}
    ]
