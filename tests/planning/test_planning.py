"""neck=auto finds a way from every backbone's features to every decoder of maps, and uses all that it selects."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.arguments import as_written
from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.meta import unused
from geocompose.contracts.needs import Needs, needs_of
from geocompose.errors import UserError
from geocompose.factory import EncoderDecoderFactory
from geocompose.necks import NeckSequence
from geocompose.planning import AutoNecks, NeckList, neck_choice, plan
from geocompose.planning.checks import check_needs
from geocompose.planning.trace import traced
from geocompose.registry import NECK_REGISTRY
from tests.kit.small import DECODERS, Maps, Tokens, content, decoder

OURS = [name for name in DECODERS if "name" not in content("decoder", name)]
PYRAMIDS = ("learned", "interpolated", "pooled")

# Strides of a backbone's features, and why they are tried.
STRIDES: dict[str, list[int]] = {
    "one map as fine as the image": [1],
    "one map at half": [2],
    "one layer of patches of 14": [14],
    "one layer": [16],
    "three layers": [16] * 3,
    "twelve layers": [16] * 12,
    "small patches": [4] * 4,
    "large patches": [32] * 6,
    "a residual network": [2, 4, 8, 16, 32],
    "a dilated residual network": [4, 8, 16, 16],
    "more of one scale than a decoder reads": [4, 8, 16, 16, 16],
    "VGG": [1, 2, 4, 8, 16, 32],
    "three fine levels": [1, 2, 4],
    "two levels": [8, 16],
    "two levels far apart": [4, 32],
    "a level is missing": [4, 8, 32],
    "pairs of levels": [8, 8, 16, 16, 32, 32],
    "finest last": [32, 16, 8, 4],
    "no powers of two": [4, 12, 24],
}


def needs(name: str) -> Needs:
    keys = {key: value for key, value in content("decoder", name).items() if key not in ("_target_", "_partial_")}
    return needs_of(decoder(name).func, keys)  # type: ignore[attr-defined]


def maps(strides: Sequence[int | Fraction], widths: Sequence[int] | None = None) -> list[FeatureSpec]:
    return [FeatureSpec(width, stride) for width, stride in zip(widths or [30] * len(strides), strides, strict=True)]


def after(necks: list[dict[str, Any]], specs: list[FeatureSpec]) -> list[FeatureSpec]:
    """Return the features after planned necks, built and tried."""
    widths, built = [spec.channels for spec in specs], []
    with torch.device("meta"):
        for neck in necks:
            arguments = {key: value for key, value in neck.items() if key != "name"}
            built.append(NECK_REGISTRY.build(neck["name"], widths, **arguments))
            widths = built[-1].process_channel_list(widths)
        return traced(NeckSequence(built), [neck["name"] for neck in necks], specs, written=False)


def planned(name: str, specs: list[FeatureSpec], pyramid: Any = "learned") -> list[dict[str, Any]]:
    return plan(AutoNecks(pyramid), specs, needs(name), maps_by_default=False)


@pytest.mark.parametrize("pyramid", PYRAMIDS)
@pytest.mark.parametrize("case", STRIDES)
def test_every_decoder_gets_what_it_needs_of_maps_of_any_strides(case, pyramid):
    specs = maps(STRIDES[case], [30 + 2 * level for level in range(len(STRIDES[case]))])
    for name in {needs(name): name for name in OURS}.values():  # one of those that need the same
        necks = planned(name, specs, pyramid)
        given = after(necks, specs)
        check_needs(name, needs(name), given, AutoNecks())
        read = given[needs(name).skips :]
        assert min(Fraction(spec.stride) for spec in read) >= 1, f"{name} gets a map finer than the image"
        assert len(read) <= (needs(name).most or len(read))
        if pyramid == "pooled":
            assert not {neck["name"] for neck in necks} & {"LearnedInterpolateToPyramidal", "InterpolateToPyramidal"}


@pytest.mark.parametrize("case", STRIDES)
def test_as_many_distinct_levels_are_used_as_both_sides_allow(case):
    strides = STRIDES[case]
    for name in OURS:
        wanted = needs(name)
        necks = planned(name, maps(strides))
        select = next((neck["indices"] for neck in necks if neck["name"] == "SelectIndices"), range(len(strides)))
        one_scale = len(set(strides)) == 1
        if wanted.reads_one:
            assert list(select) in ([-1], [0])
        elif wanted.pyramid or wanted.layers:
            most = min(wanted.most or 99, 4 if one_scale else 99)
            if (wanted.doubling or wanted.powers_of_two) and not one_scale:
                usable = {stride for stride in strides if max(strides) / stride in (1, 2, 4, 8, 16, 32)}
                most = min(most, len(usable))
            if wanted.ratios and not one_scale:
                most = 1  # the two that fit; or one twice, if none does
            assert len(set(select)) >= min(most, len(strides)), name


@pytest.mark.parametrize(
    ("case", "name"),
    [
        *(("a dilated residual network", name) for name in OURS),
        *(("one map as fine as the image", name) for name in ("upernet", "smp_fpn", "smp_deeplabv3plus", "smp_dpt")),
    ],
)
def test_a_composition_of_any_strides_is_its_written_list_and_a_gradient_reaches_every_level(case, name):
    strides = STRIDES[case]
    backbone = lambda: Maps([32] * len(strides), strides)  # noqa: E731 - a new one each time
    factory, again = EncoderDecoderFactory((64, 96)), EncoderDecoderFactory((64, 96))
    arguments = {
        "task": "segmentation",
        "backbone": backbone,
        "num_classes": 3,
        "decoder": decoder(name, levels=max(4, len(strides))),
    }
    with torch.device("meta"):
        model = factory.build_model(**arguments, necks=AutoNecks())
        plan = factory.plan
        again.build_model(**arguments, necks=NeckList(plan.necks))
    assert again.plan == plan
    assert [key for key in plan.unreached if not key.startswith("encoder.")] == []
    # Levels that the image's size alone makes are there to be skipped.
    for part, skipped in ((model.encoder, 0), (model.neck, needs(name).skips)):
        kept = levels_of(model, part)
        selected = range(len(kept))
        if part is model.encoder:
            first = plan.necks[:1]
            selected = first[0]["indices"] if first and first[0]["name"] == "SelectIndices" else selected
            selected = [index % len(kept) for index in selected]
        wanted = {index: kept[index] for index in selected if index >= skipped}
        assert unused([output(model)], wanted) == [], f"levels without a gradient at the {type(part).__name__}"


def levels_of(model: nn.Module, part: nn.Module) -> dict[int, Tensor]:
    """Return the features that a part of the model will hand on, as leaves, for the next forward."""
    kept: dict[int, Tensor] = {}

    def keep(_: nn.Module, __: Any, features: list[Tensor]) -> list[Tensor]:
        kept.update({index: feature.detach().requires_grad_() for index, feature in enumerate(features)})
        return list(kept.values())

    handle = part.register_forward_hook(keep)
    model.eval()(torch.empty(1, 3, 64, 96, device="meta"))
    handle.remove()
    part.register_forward_hook(lambda *_: list(kept.values()))
    return kept


def output(model: nn.Module) -> Tensor:
    return model(torch.empty(1, 3, 64, 96, device="meta")).output


# What is planned


def written(name: str, specs: list[FeatureSpec], pyramid: Any = "learned") -> str:
    return as_written(planned(name, specs, pyramid))[1:-1]


@pytest.mark.parametrize(
    ("pyramid", "strides", "necks", "given"),
    [
        ("learned", [16] * 4, "{name: LearnedInterpolateToPyramidal}", [4, 8, 16, 32]),
        ("learned", [14] * 4, "{name: LearnedInterpolateToPyramidal}", [3.5, 7, 14, 28]),
        ("interpolated", [16] * 4, "{name: InterpolateToPyramidal, mode: bilinear, exponents: [2, 1, 0, -1]}", [4, 8, 16, 32]),
        ("pooled", [16] * 4, "{name: MaxpoolToPyramidal}", [16, 32, 64, 128]),
        ("learned", [2] * 4, "{name: MaxpoolToPyramidal}", [2, 4, 8, 16]),
        ("interpolated", [1] * 4, "{name: MaxpoolToPyramidal}", [1, 2, 4, 8]),
        ("learned", [4] * 4, "{name: LearnedInterpolateToPyramidal}", [1, 2, 4, 8]),
        ("learned", [16] * 3, "{name: SelectIndices, indices: [0, 1, 1, 2]}, {name: LearnedInterpolateToPyramidal}", [4, 8, 16, 32]),
        ("learned", [16], "{name: SelectIndices, indices: [0, 0, 0, 0]}, {name: LearnedInterpolateToPyramidal}", [4, 8, 16, 32]),
        ("learned", [16] * 12, "{name: SelectIndices, indices: [2, 5, 8, 11]}, {name: LearnedInterpolateToPyramidal}", [4, 8, 16, 32]),
        ("learned", [32, 8, 16], "{name: SelectIndices, indices: [1, 2, 0]}", [8, 16, 32]),
    ],
)  # fmt: skip
def test_a_pyramid_is_made_of_layers_of_one_stride_as_asked_for(pyramid, strides, necks, given):
    specs = maps(strides, [32] * len(strides))
    assert written("upernet", specs, pyramid) == necks
    assert [float(spec.stride) for spec in after(planned("upernet", specs, pyramid), specs)] == given


@pytest.mark.parametrize(
    ("name", "strides", "necks"),
    [
        ("fcn", [2, 4, 8, 16, 32], "{name: SelectIndices, indices: [-1]}"),
        ("smp_fpn", [2, 4, 8, 16, 32], "{name: SelectIndices, indices: [1, 2, 3, 4]}"),
        ("smp_fpn", [4, 8, 16, 16], "{name: MaxpoolToPyramidal, exponents: [0, 0, 0, -1]}"),
        ("smp_fpn", [8, 8, 16, 16, 32, 32], "{name: SelectIndices, indices: [0, 1, 3, 5]}, {name: LearnedInterpolateToPyramidal, exponents: [1, 0, 0, 0]}"),
        ("smp_fpn", [1, 2, 4], "{name: SelectIndices, indices: [0, 1, 2, 2]}, {name: MaxpoolToPyramidal, exponents: [0, 0, 0, -1]}"),
        ("smp_fpn", [8, 16, 32], "{name: SelectIndices, indices: [0, 0, 1, 2]}, {name: LearnedInterpolateToPyramidal, exponents: [1, 0, 0, 0]}"),
        ("smp_pan", [2, 4, 8, 16, 32], "{name: SelectIndices, indices: [1, 2, 3, 4]}, {name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_upernet", [2, 4, 8, 16, 32], "{name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_linknet", [4, 8, 16, 16], "{name: SelectIndices, indices: [0, 1, 3]}, {name: AddInputLevel}"),
        ("smp_linknet", [4, 16], "{name: SelectIndices, indices: [0, 1, 1]}, {name: LearnedInterpolateToPyramidal, exponents: [0, 1, 0]}, {name: AddInputLevel}"),
        ("smp_deeplabv3plus", [1, 2, 4, 8, 16, 32], "{name: SelectIndices, indices: [3, 5]}, {name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_deeplabv3plus", [4, 8, 16, 16], "{name: SelectIndices, indices: [0, 3]}, {name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_deeplabv3plus", [8, 16], "{name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_deeplabv3plus", [4, 32], "{name: MaxpoolToPyramidal, exponents: [-1, 0]}, {name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_deeplabv3plus", [16] * 12, "{name: SelectIndices, indices: [5, 11]}, {name: LearnedInterpolateToPyramidal, exponents: [2, 0]}, {name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_dpt", [16] * 12, "{name: SelectIndices, indices: [2, 5, 8, 11]}"),
        ("smp_dpt", [16], "{name: SelectIndices, indices: [0, 0, 0, 0]}"),
        ("smp_dpt", [4, 12, 24], "{name: SelectIndices, indices: [1, 2]}"),
        ("mlp", [16] * 2, ""),
    ],
)  # fmt: skip
def test_a_decoder_is_given_what_it_reads_of_a_pyramid(name, strides, necks):
    assert written(name, maps(strides, [32] * len(strides))) == necks


@pytest.mark.parametrize(
    ("given", "strides", "necks"),
    [
        ({"output_stride": 8}, [2, 4, 8, 16, 32], "{name: SelectIndices, indices: [3, 4]}"),
        ({"output_stride": 16}, [8, 16], "{name: LearnedInterpolateToPyramidal, exponents: [1, 0]}"),
        ({"output_stride": 8}, [1], "{name: SelectIndices, indices: [0, 0]}, {name: MaxpoolToPyramidal}"),
    ],
)
def test_deeplab_joins_what_its_output_stride_says(given, strides, necks):
    target = decoder("smp_deeplabv3plus").func  # type: ignore[attr-defined]
    wanted = needs_of(target, {"arch": "DeepLabV3Plus", "kwargs": given})
    found = as_written(plan(AutoNecks(), maps(strides, [32] * len(strides)), wanted, maps_by_default=False)[:-2])
    assert found[1:-1] == necks


def test_as_many_layers_are_chosen_as_a_decoder_was_given_widths():
    five = needs_of(decoder("unet").func, {"channels": [64, 32, 16, 8, 4]})  # type: ignore[attr-defined]
    necks = plan(AutoNecks(), maps([16] * 12), five, maps_by_default=False)
    assert necks[0] == {"name": "SelectIndices", "indices": [1, 4, 6, 9, 11]}
    assert [spec.stride for spec in after(necks, maps([16] * 12, [32] * 12))] == [2, 4, 8, 16, 32]


def test_maps_of_several_strides_are_brought_to_one_for_a_decoder_that_scales_itself():
    wanted = needs_of(decoder("upernet").func, {"scale_modules": True})  # type: ignore[attr-defined]
    necks = plan(AutoNecks(), maps([4, 8, 16, 32]), wanted, maps_by_default=False)
    assert as_written(necks) == "[{name: LearnedInterpolateToPyramidal, exponents: [-2, -1, 0, 1]}]"
    pooled = plan(AutoNecks("pooled"), maps([4, 8, 16, 32]), wanted, maps_by_default=False)
    assert as_written(pooled) == "[{name: MaxpoolToPyramidal, exponents: [-3, -2, -1, 0]}]"


def test_widths_are_projected_where_they_cannot_be_halved_and_only_there():
    odd = written("upernet", maps([16] * 4, [30, 30, 30, 30]))
    assert odd == "{name: ProjectChannels, channels: [32, 30, 30, 30]}, {name: LearnedInterpolateToPyramidal}"
    assert "Project" not in written("upernet", maps([16] * 4, [32, 30, 29, 29]))
    assert "Project" not in written("upernet", maps([16] * 4, [30] * 4), "interpolated")


def test_widths_are_projected_for_the_decoders_that_say_so():
    assert written("smp_pspnet", maps([1], [6])) == "{name: ProjectChannels, channels: 8}"
    assert written("smp_pspnet", maps([1], [8])) == ""
    assert written("smp_linknet", maps([4, 8], [3, 8])).startswith("{name: ProjectChannels, channels: [4, 8]}")
    equal = Needs(levels=2, pyramid=True, equal_widths=True)
    wide = plan(AutoNecks(), maps([4, 8], [64, 512]), equal, maps_by_default=False)
    assert wide == [{"name": "ProjectChannels", "channels": 256}]
    narrow = plan(AutoNecks(), maps([4, 8], [64, 128]), equal, maps_by_default=False)
    assert narrow == [{"name": "ProjectChannels", "channels": 128}]
    assert plan(AutoNecks(), maps([4, 8], [64, 64]), equal, maps_by_default=False) == []


TOKENS = FeatureSpec(32, 16, "tokens", num_prefix_tokens=5)
CLASSED = FeatureSpec(32, 16, "tokens", num_prefix_tokens=1)
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
        (("tokens",), [LAST, CLASSED], "{name: PermuteDims, new_order: [0, 3, 1, 2], indices: [0]}, {name: FlattenMapsToTokens}"),
        (("NHWC",), [CLASSED], "{name: ReshapeTokensToImage}, {name: PermuteDims, new_order: [0, 2, 3, 1]}"),
        (("vector",), [MAP], "{name: AggregateTokens, index: null}"),
    ],
)  # fmt: skip
def test_a_decoder_that_reads_no_maps_gets_what_it_reads(layouts, specs, necks):
    found = plan(AutoNecks(), specs, Needs(layouts=layouts), maps_by_default=False)
    assert as_written(found)[1:-1] == necks
    assert {spec.layout for spec in after(found, specs)} == set(layouts)


class Vectors(nn.Module):
    """A backbone that returns one pooled vector."""

    out_channels = [8]
    in_chans = 3

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.layer(image).mean(dim=(2, 3))]


@pytest.mark.parametrize("name", ["IdentityDecoder", "MLPDecoder"])
def test_a_backbone_of_vectors_classifies_images(name):
    model = EncoderDecoderFactory((64, 64)).build_model("classification", Vectors(), name, num_classes=3, necks="auto")
    assert model(torch.randn(2, 3, 64, 64)).output.shape == (2, 3)


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
