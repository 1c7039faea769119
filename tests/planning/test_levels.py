"""Which levels a decoder is given."""

from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geocompose.arguments import as_written
from geocompose.contracts.meta import unused
from geocompose.contracts.needs import Needs, needs_of
from geocompose.factory import EncoderDecoderFactory
from geocompose.planning import AutoNecks, NeckList, plan
from geocompose.planning.checks import check_needs
from tests.kit.planned import PYRAMIDS, after, maps, needs, planned, written
from tests.kit.small import DECODERS, Maps, content, decoder

OURS = [name for name in DECODERS if "name" not in content("decoder", name)]


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


@pytest.mark.parametrize(
    ("pyramid", "strides", "necks", "given"),
    [
        ("learned", [16] * 4, "{name: LearnedInterpolateToPyramidal}", [4, 8, 16, 32]),
        ("learned", [14] * 4, "{name: LearnedInterpolateToPyramidal}", [3.5, 7, 14, 28]),
        ("interpolated", [16] * 4, "{name: InterpolateToPyramidal, mode: bilinear, exponents: [2, 1, 0, -1]}",
         [4, 8, 16, 32]),
        ("pooled", [16] * 4, "{name: MaxpoolToPyramidal}", [16, 32, 64, 128]),
        ("learned", [2] * 4, "{name: MaxpoolToPyramidal}", [2, 4, 8, 16]),
        ("interpolated", [1] * 4, "{name: MaxpoolToPyramidal}", [1, 2, 4, 8]),
        ("learned", [4] * 4, "{name: LearnedInterpolateToPyramidal}", [1, 2, 4, 8]),
        ("learned", [16] * 3, "{name: SelectIndices, indices: [0, 1, 1, 2]}, {name: LearnedInterpolateToPyramidal}",
         [4, 8, 16, 32]),
        ("learned", [16], "{name: SelectIndices, indices: [0, 0, 0, 0]}, {name: LearnedInterpolateToPyramidal}",
         [4, 8, 16, 32]),
        ("learned", [16] * 12, "{name: SelectIndices, indices: [2, 5, 8, 11]}, {name: LearnedInterpolateToPyramidal}",
         [4, 8, 16, 32]),
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
        ("smp_fpn", [8, 8, 16, 16, 32, 32],
         "{name: SelectIndices, indices: [0, 1, 3, 5]}, "
         "{name: LearnedInterpolateToPyramidal, exponents: [1, 0, 0, 0]}"),
        ("smp_fpn", [1, 2, 4],
         "{name: SelectIndices, indices: [0, 1, 2, 2]}, {name: MaxpoolToPyramidal, exponents: [0, 0, 0, -1]}"),
        ("smp_fpn", [8, 16, 32],
         "{name: SelectIndices, indices: [0, 0, 1, 2]}, "
         "{name: LearnedInterpolateToPyramidal, exponents: [1, 0, 0, 0]}"),
        ("smp_pan", [2, 4, 8, 16, 32],
         "{name: SelectIndices, indices: [1, 2, 3, 4]}, {name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_upernet", [2, 4, 8, 16, 32], "{name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_linknet", [4, 8, 16, 16], "{name: SelectIndices, indices: [0, 1, 3]}, {name: AddInputLevel}"),
        ("smp_linknet", [4, 16],
         "{name: SelectIndices, indices: [0, 1, 1]}, "
         "{name: LearnedInterpolateToPyramidal, exponents: [0, 1, 0]}, {name: AddInputLevel}"),
        ("smp_deeplabv3plus", [1, 2, 4, 8, 16, 32],
         "{name: SelectIndices, indices: [3, 5]}, {name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_deeplabv3plus", [4, 8, 16, 16],
         "{name: SelectIndices, indices: [0, 3]}, {name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_deeplabv3plus", [8, 16], "{name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_deeplabv3plus", [4, 32],
         "{name: MaxpoolToPyramidal, exponents: [-1, 0]}, {name: AddInputLevel}, {name: AddInputLevel}"),
        ("smp_deeplabv3plus", [16] * 12,
         "{name: SelectIndices, indices: [5, 11]}, "
         "{name: LearnedInterpolateToPyramidal, exponents: [2, 0]}, {name: AddInputLevel}, {name: AddInputLevel}"),
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
