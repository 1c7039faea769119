"""What holds for every registered neck."""

import copy
import pickle

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from geocompose.necks import Neck, NeckSequence
from geocompose.registry import NECK_REGISTRY

# What every neck owes. Arguments, and whether it takes tokens or maps (channels last: `last`).
EVERY: dict[str, tuple[dict[str, object], str]] = {
    "AddBottleneckLayer": ({}, "maps"),
    "AddInputLevel": ({}, "maps"),
    "AggregateTokens": ({"indices": [0, -1]}, "tokens"),
    "FeaturePyramidNetworkNeck": ({"out_channel": 6}, "maps"),
    "FlattenMapsToTokens": ({}, "maps"),
    "InterpolateToPyramidal": ({}, "maps"),
    "LearnedInterpolateToPyramidal": ({}, "maps"),
    "MaxpoolToPyramidal": ({}, "maps"),
    "PermuteDims": ({"new_order": [0, 3, 1, 2]}, "last"),
    "ProjectChannels": ({"channels": [8, 9, 10, 11]}, "maps"),
    "ReshapeTokensToImage": ({}, "tokens"),
    "SelectIndices": ({"indices": [3, 1]}, "maps"),
}


WIDTHS = [8, 12, 16, 8]
GRIDS = [pytest.param((8, 8), id="square"), pytest.param((8, 16), id="wide"), pytest.param((16, 8), id="tall")]


def made(name: str) -> Neck:
    torch.manual_seed(0)
    return NECK_REGISTRY.build(name, WIDTHS, **EVERY[name][0])


def features_for(name: str, grid: tuple[int, int], batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    rows, columns = grid
    shapes = {"tokens": lambda c: (1 + rows * columns, c), "maps": lambda c: (c, *grid), "last": lambda c: (*grid, c)}
    return [torch.randn(batch, *shapes[EVERY[name][1]](width), generator=generator) for width in WIDTHS]


def run(neck: Neck, features: list[Tensor], grid: tuple[int, int]) -> list[Tensor]:
    return NeckSequence([neck])(features, (16 * grid[0], 16 * grid[1]))


def test_every_registered_neck_is_tried_here():
    assert set(EVERY) == set(NECK_REGISTRY)
    for name, neck in NECK_REGISTRY.items():
        assert issubclass(neck, Neck), name


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", EVERY)
def test_a_neck_returns_a_new_list_of_features_as_wide_as_it_says(name, grid):
    neck, given = made(name), features_for(name, grid)
    before = [(feature, feature.clone()) for feature in given]
    widths = list(WIDTHS)
    outgoing = run(neck, given, grid)
    assert isinstance(outgoing, list)
    assert outgoing is not given
    assert [feature.shape[2 if feature.ndim == 3 else 1] for feature in outgoing] == neck.process_channel_list(widths)
    assert widths == WIDTHS == neck.channel_list
    for (feature, copied), still in zip(before, given, strict=True):
        assert still is feature
        assert torch.equal(still, copied)


@pytest.mark.parametrize("name", EVERY)
def test_a_neck_takes_what_a_configuration_holds_and_keeps_a_copy(name):
    arguments = OmegaConf.create(EVERY[name][0])
    widths = OmegaConf.create(WIDTHS)
    neck = NECK_REGISTRY.build(name, widths, **arguments)
    for key in arguments:
        if OmegaConf.is_list(arguments[key]):
            arguments[key][0] = 99
    widths[0] = 99
    given = features_for(name, (8, 8))
    for feature, expected in zip(run(neck, given, (8, 8)), run(made(name), given, (8, 8)), strict=True):
        assert feature.shape == expected.shape


@pytest.mark.parametrize("name", EVERY)
def test_gradients_reach_every_parameter_of_a_neck_and_the_features_it_uses(name):
    neck, given = made(name), [feature.requires_grad_() for feature in features_for(name, (8, 16))]
    outgoing = [feature for feature in run(neck, given, (8, 16)) if feature.requires_grad]
    sum(feature.square().mean() for feature in outgoing).backward()
    assert [key for key, parameter in neck.named_parameters() if parameter.grad is None] == []
    used = {"SelectIndices": [1, 3], "AggregateTokens": [0, 3]}.get(name, [0, 1, 2, 3])
    assert [level for level, feature in enumerate(given) if feature.grad is not None] == used


@pytest.mark.parametrize("name", EVERY)
def test_copies_of_a_neck_and_its_state_give_the_same_features(name):
    neck, given = made(name).eval(), features_for(name, (8, 16))
    expected = run(neck, given, (8, 16))
    other = NECK_REGISTRY.build(name, WIDTHS, **EVERY[name][0]).eval()
    other.load_state_dict(neck.state_dict(), strict=True)
    for copied in (copy.deepcopy(neck), pickle.loads(pickle.dumps(neck)), other):
        for feature, wanted in zip(run(copied, given, (8, 16)), expected, strict=True):
            assert torch.equal(feature, wanted)


@pytest.mark.parametrize("name", EVERY)
def test_a_neck_is_exported(name):
    neck, given = NeckSequence([made(name)]).eval(), features_for(name, (8, 16))
    program = torch.export.export(neck, (given, (128, 256)))
    for feature, wanted in zip(program.module()(given, (128, 256)), neck(given, (128, 256)), strict=True):
        torch.testing.assert_close(feature, wanted)
