"""Necks put every feature where it belongs and refuse what they can't read."""

import copy
import pickle

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.errors import UserError
from geocompose.necks import Neck, NeckSequence
from geocompose.necks.aggregate import AggregateTokens
from geocompose.necks.fpn import FeaturePyramidNetworkNeck
from geocompose.necks.layout import PermuteDims, ReshapeTokensToImage
from geocompose.necks.levels import AddBottleneckLayer, AddInputLevel
from geocompose.necks.pyramid import InterpolateToPyramidal, LearnedInterpolateToPyramidal, MaxpoolToPyramidal
from geocompose.necks.select import SelectIndices
from geocompose.registry import NECK_REGISTRY

SHAPES = [
    pytest.param((3, 3), id="square"),
    pytest.param((2, 6), id="wide"),
    pytest.param((7, 2), id="tall"),
    pytest.param((1, 5), id="row"),
]


def grid_tokens(rows: int, columns: int, *, prefix: int = 1, frames: int = 1) -> Tensor:
    """Return tokens (1, prefix + frames * rows * columns, 3) that say their own row, column and frame; prefixes say -1."""
    cells = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float32) for n in (frames, rows, columns))).reshape(
        -1, 3
    )
    return torch.cat([torch.full((prefix, 3), -1.0), cells[:, [1, 2, 0]]]).unsqueeze(0)


@pytest.mark.parametrize("grid", SHAPES)
@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_a_token_comes_out_at_its_row_and_column(grid, prefix):
    rows, columns = grid
    neck = ReshapeTokensToImage([3, 3], num_prefix_tokens=prefix)
    given = grid_tokens(rows, columns, prefix=prefix)
    maps = neck([given, given + 1], image_size=(rows * 16, columns * 16))
    assert maps[0].shape == (1, 3, rows, columns)
    assert torch.equal(maps[0][0, 0], torch.arange(rows).view(-1, 1).expand(rows, columns))
    assert torch.equal(maps[0][0, 1], torch.arange(columns).view(1, -1).expand(rows, columns))
    assert torch.equal(maps[1], maps[0] + 1)


@pytest.mark.parametrize("grid", SHAPES)
def test_frames_go_into_the_channels_frame_by_frame(grid):
    rows, columns = grid
    neck = ReshapeTokensToImage([3], effective_time_dim=4)
    (maps,) = neck([grid_tokens(rows, columns, frames=4)], image_size=(rows * 16, columns * 16))
    assert neck.process_channel_list([3]) == [12]
    assert maps.shape == (1, 12, rows, columns)
    for frame in range(4):
        here = maps[0, 3 * frame : 3 * frame + 3]
        assert torch.equal(here[2], torch.full((rows, columns), float(frame)))
        assert torch.equal(here[0], torch.arange(rows).view(-1, 1).expand(rows, columns))
        assert torch.equal(here[1], torch.arange(columns).view(1, -1).expand(rows, columns))


def test_without_a_class_token_nothing_is_removed():
    (maps,) = ReshapeTokensToImage([3], remove_cls_token=False)([grid_tokens(2, 2, prefix=0)], image_size=(32, 32))
    assert torch.equal(maps[0, 0], torch.tensor([[0.0, 0.0], [1.0, 1.0]]))


def test_rows_may_be_given_where_no_image_size_is_known():
    assert ReshapeTokensToImage([3], h=2)([grid_tokens(2, 6)])[0].shape == (1, 3, 2, 6)
    assert ReshapeTokensToImage([3])([grid_tokens(4, 4)])[0].shape == (1, 3, 4, 4)


def test_rows_follow_from_the_size_of_the_image_whatever_h_says():
    """h is written for images of one size; a model tries its necks on another, and takes images of any."""
    (maps,) = ReshapeTokensToImage([3], h=4)([grid_tokens(2, 6)], image_size=(32, 96))
    assert torch.equal(maps[0, 1], torch.arange(6).expand(2, 6))


@pytest.mark.parametrize(
    ("neck", "size", "message"),
    [
        (ReshapeTokensToImage([3]), (32, 64), "16 tokens in 1 frame.* don't form a grid of an image of 32 x 64 pixels"),
        (ReshapeTokensToImage([3], remove_cls_token=False), (64, 64), r"17 tokens .*prefix tokens \(now 0\)"),
        (ReshapeTokensToImage([3], effective_time_dim=3), (64, 64), "16 tokens in 3 frame.*Check effective_time_dim"),
        (ReshapeTokensToImage([3]), None, "15 tokens in 1 frame.* don't form a grid of a square image"),
        (ReshapeTokensToImage([3], h=3), None, r"don't form a grid of 3 rows \(h\)\. Check .* h\."),
    ],
)
def test_tokens_that_form_no_grid_are_refused(neck, size, message):
    tokens = grid_tokens(3, 5) if message.startswith("15") else grid_tokens(4, 4)
    with pytest.raises(UserError, match=message):
        neck([tokens], image_size=size)


def test_maps_stay_as_they_are_where_tokens_would_become_maps():
    maps = torch.zeros(1, 3, 4, 4)
    assert ReshapeTokensToImage([3])([maps], image_size=(64, 64))[0] is maps


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 4, 4)])
def test_what_is_neither_tokens_nor_one_map_is_refused(shape):
    with pytest.raises(UserError, match=r"takes tokens .* got a feature of shape"):
        ReshapeTokensToImage([3], effective_time_dim=2)([torch.zeros(*shape)], image_size=(64, 64))


def test_a_permutation_reorders_every_feature():
    given = [torch.randn(2, 4, 5, 3), torch.randn(2, 2, 3, 6)]
    turned = PermuteDims([3, 6], new_order=[0, 3, 1, 2])(given)
    assert [feature.shape for feature in turned] == [(2, 3, 4, 5), (2, 6, 2, 3)]
    assert torch.equal(turned[0][:, 1], given[0][..., 1])
    assert all(feature.is_contiguous() for feature in turned)
    assert PermuteDims([3, 6], new_order=[0, 3, 1, 2]).process_channel_list([3, 6]) == [3, 6]


def test_features_are_selected_in_the_order_asked_for_and_the_list_given_stays():
    given = [torch.full((1,), float(index)) for index in range(4)]
    neck = SelectIndices([8, 9, 10, 11], indices=[3, -4, 1])
    assert [int(feature) for feature in neck(given)] == [3, 0, 1]
    assert neck.process_channel_list([8, 9, 10, 11]) == [11, 8, 9]
    assert len(given) == 4


def test_a_selection_stays_in_the_neck_where_the_backbone_cannot_select():
    neck = SelectIndices([8, 9], indices=[1])
    neck.push_into(torch.nn.Identity())
    assert neck.process_channel_list([8, 9]) == [9]


class Layers(nn.Module):
    """A backbone that returns just the layers it is told to: layer n is a vector of n."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.out_indices = list(range(depth))

    @property
    def out_channels(self) -> list[int]:
        return [8 + layer for layer in self.out_indices]

    def select_layers(self, indices: list[int]) -> None:
        assert len(set(indices)) == len(indices)
        self.out_indices = list(indices)

    def forward(self) -> list[Tensor]:
        return [torch.full((1,), float(layer)) for layer in self.out_indices]


@pytest.mark.parametrize("indices", [[3, 1], [-1, 0], [2, 2], [3, -1, 0, 3]])
def test_a_selection_is_the_same_in_the_backbone_and_in_the_neck(indices):
    backbone, neck = Layers(4), SelectIndices([8, 9, 10, 11], indices=indices)
    here, widths = neck(backbone()), neck.process_channel_list(backbone.out_channels)
    neck.push_into(backbone)
    assert neck.in_backbone
    assert len(backbone.out_indices) == len({index % 4 for index in indices})
    assert neck(backbone()) == here
    assert neck.process_channel_list(backbone.out_channels) == widths


# Pooled tokens


def test_tokens_are_pooled_by_their_mean_maximum_and_minimum():
    tokens = torch.randn(2, 9, 5)
    pooled = {pooling: AggregateTokens([5], pooling=pooling)([tokens])[0] for pooling in ("mean", "max", "min")}
    torch.testing.assert_close(pooled["mean"], tokens.sum(dim=1) / 9)
    assert torch.equal(pooled["max"], tokens.sort(dim=1).values[:, -1])
    assert torch.equal(pooled["min"], tokens.sort(dim=1).values[:, 0])


@pytest.mark.parametrize("pooling", ["cls", "CLS"])
def test_the_class_token_is_the_first(pooling):
    tokens = torch.randn(2, 9, 5)
    assert torch.equal(AggregateTokens([5], pooling=pooling)([tokens])[0], tokens[:, 0])


@pytest.mark.parametrize(("pooling", "drop_cls", "place"), [(0, False, 0), (3, False, 3), (-1, False, 8), (0, True, 1), (-8, True, 1)])  # fmt: skip
def test_aggregating_by_the_number_of_a_token_takes_that_token(pooling, drop_cls, place):
    tokens = torch.randn(2, 9, 5)
    neck = AggregateTokens([5], pooling=pooling, drop_cls=drop_cls)
    assert torch.equal(neck([tokens])[0], tokens[:, place])


@pytest.mark.parametrize("pooling", ["mean", "max", "min"])
def test_a_dropped_class_token_has_no_part_in_the_pooling(pooling):
    tokens = torch.randn(2, 9, 5)
    tokens[:, 0] = 100.0 if pooling != "min" else -100.0
    without = AggregateTokens([5], pooling=pooling, drop_cls=True)([tokens])[0]
    assert torch.equal(without, AggregateTokens([5], pooling=pooling)([tokens[:, 1:]])[0])
    assert not torch.allclose(without, AggregateTokens([5], pooling=pooling)([tokens])[0])


@pytest.mark.parametrize("grid", SHAPES)
def test_the_cells_of_a_map_are_its_tokens_row_by_row(grid):
    rows, columns = grid
    cells = torch.randn(2, 5, rows, columns)
    torch.testing.assert_close(AggregateTokens([5])([cells])[0], cells.mean(dim=(2, 3)))
    assert torch.equal(AggregateTokens([5], pooling="max")([cells])[0], cells.amax(dim=(2, 3)))
    last = AggregateTokens([5], pooling=(rows - 1) * columns + columns - 1)([cells])[0]
    assert torch.equal(last, cells[:, :, -1, -1])


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ({}, [2]),
        ({"index": 0}, [0]),
        ({"index": -2}, [1]),
        ({"index": None}, [0, 1, 2]),
        ({"indices": 0}, [0]),
        ({"indices": [2, 0, -1]}, [2, 0, 2]),
        ({"indices": (1,), "index": -1}, [1]),
    ],
)
def test_the_features_that_are_aggregated_are_those_that_were_named_the_first_one_included(arguments, chosen):
    features = [torch.randn(2, 9, width) for width in (4, 5, 6)]
    neck = AggregateTokens([4, 5, 6], **arguments)
    pooled = neck(features)
    assert [torch.equal(vector, features[index].mean(dim=1)) for vector, index in zip(pooled, chosen, strict=True)] == [
        True
    ] * len(chosen)
    assert neck.process_channel_list([4, 5, 6]) == [vector.shape[1] for vector in pooled]


@pytest.mark.parametrize(
    ("arguments", "shape", "message"),
    [
        ({"pooling": "cls"}, (2, 5, 3, 3), r"pooling=cls needs tokens.* a map of shape \(2, 5, 3, 3\) has none.*before ReshapeTokensToImage"),
        ({"drop_cls": True}, (2, 5, 3, 3), "drop_cls=true needs tokens"),
        ({}, (2, 3, 4, 5), r"channels last need PermuteDims with new_order \[0, 3, 1, 2\]"),
        ({}, (2, 5), r"takes tokens \(batch, tokens, 5\) or a map .* got a feature of shape \(2, 5\)"),
        ({}, (2, 5, 9), r"got a feature of shape \(2, 5, 9\)"),
        ({"pooling": 9}, (2, 9, 5), "pooling=9 is not a token of 9: they go from 0 to 8, or -9 to -1"),
        ({"pooling": -9, "drop_cls": True}, (2, 9, 5), "pooling=-9 is not a token of 8"),
    ],
)  # fmt: skip
def test_features_that_cannot_be_pooled_so_are_refused(arguments, shape, message):
    with pytest.raises(UserError, match=message):
        AggregateTokens([5], **arguments)([torch.zeros(shape)])


# Pyramids


def test_the_learned_pyramid_doubles_twice_and_halves_once():
    neck = LearnedInterpolateToPyramidal([16, 16, 16, 16])
    levels = neck([torch.randn(2, 16, 6, 10) for _ in range(4)])
    assert [tuple(level.shape) for level in levels] == [(2, 4, 24, 40), (2, 8, 12, 20), (2, 16, 6, 10), (2, 16, 3, 5)]
    assert neck.process_channel_list([16] * 4) == [level.shape[1] for level in levels]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("grid", [(4, 4), (2, 6), (6, 2)])
def test_the_learned_pyramid_has_a_level_for_each_of_any_number_of_features(count, grid):
    rows, columns = grid
    widths = [16 * (1 + level) for level in range(count)]
    neck = LearnedInterpolateToPyramidal(widths).eval()
    levels = neck([torch.randn(1, width, rows, columns) for width in widths])
    factors = [2.0**exponent for exponent in range(count - 2, -2, -1)] if count > 1 else [1.0]
    sizes = [(int(rows * factor), int(columns * factor)) for factor in factors]
    assert [tuple(level.shape[2:]) for level in levels] == sizes
    narrowed = [int(width / max(factor, 1)) for width, factor in zip(widths, factors, strict=True)]
    assert [level.shape[1] for level in levels] == narrowed == neck.process_channel_list(widths)


def test_the_learned_pyramid_of_four_keeps_the_names_that_its_users_have_weights_for():
    names = set(LearnedInterpolateToPyramidal([16] * 4).state_dict())
    fpn1 = {"fpn1.0.weight", "fpn1.0.bias", "fpn1.3.weight", "fpn1.3.bias"}
    norm = {f"fpn1.1.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
    assert names == fpn1 | norm | {"fpn2.0.weight", "fpn2.0.bias"}


def test_the_learned_pyramid_is_transposed_convolutions_with_norm_and_gelu_between_them():
    torch.manual_seed(0)
    neck = LearnedInterpolateToPyramidal([8] * 5).eval()
    weights = neck.state_dict()
    given = [torch.randn(1, 8, 2, 3) for _ in range(5)]

    def doubled(x: Tensor, name: str) -> Tensor:
        return F.conv_transpose2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride=2)

    def normed(x: Tensor, name: str) -> Tensor:
        x = (x - weights[f"{name}.running_mean"].view(-1, 1, 1)) / (
            weights[f"{name}.running_var"].view(-1, 1, 1) + 1e-5
        ).sqrt()
        return F.gelu(x * weights[f"{name}.weight"].view(-1, 1, 1) + weights[f"{name}.bias"].view(-1, 1, 1))

    first = doubled(normed(doubled(normed(doubled(given[0], "fpn1.0"), "fpn1.1"), "fpn1.3"), "fpn1.4"), "fpn1.6")
    second = doubled(normed(doubled(given[1], "fpn2.0"), "fpn2.1"), "fpn2.3")
    expected = [first, second, doubled(given[2], "fpn3.0"), given[3], F.max_pool2d(given[4], 2)]
    for level, wanted in zip(neck(given), expected, strict=True):
        torch.testing.assert_close(level, wanted)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize("scale_factor", [2, 3])
def test_the_plain_pyramid_enlarges_by_powers_of_its_factor(scale_factor, mode):
    neck = InterpolateToPyramidal([4, 4], scale_factor=scale_factor, mode=mode)
    given = [torch.randn(1, 4, 3, 5) for _ in range(2)]
    levels = neck(given)
    sizes = [tuple(level.shape[2:]) for level in levels]
    assert sizes == [(3 * scale_factor**2, 5 * scale_factor**2), (3 * scale_factor, 5 * scale_factor)]
    expected = torch.nn.functional.interpolate(given[1], scale_factor=scale_factor, mode=mode)
    torch.testing.assert_close(levels[1], expected)
    assert neck.process_channel_list([4, 4]) == [4, 4]


@pytest.mark.parametrize("kernel_size", [2, 3])
@pytest.mark.parametrize("grid", [(9, 9), (9, 20), (20, 9)])
def test_the_pooled_pyramid_takes_the_maximum_of_ever_larger_windows(kernel_size, grid):
    neck = MaxpoolToPyramidal([4, 5, 6], kernel_size=kernel_size)
    given = [torch.randn(1, width, *grid) for width in (4, 5, 6)]
    levels = neck(given)
    assert torch.equal(levels[0], given[0])
    for exponent in (1, 2):
        window = kernel_size**exponent
        rows, columns = (size // window for size in grid)
        inside = given[exponent][:, :, : rows * window, : columns * window]
        blocks = inside.reshape(1, 4 + exponent, rows, window, columns, window)
        assert torch.equal(levels[exponent], blocks.amax(dim=(3, 5)))
    assert neck.process_channel_list([4, 5, 6]) == [4, 5, 6]


@pytest.mark.parametrize(
    ("neck", "grid", "message"),
    [
        (MaxpoolToPyramidal([4, 4, 4]), (8, 3), "pools windows of 4 x 4 cells; a map here has 8 x 3"),
        (LearnedInterpolateToPyramidal([4, 4]), (1, 5), "pools windows of 2 x 2 cells; a map here has 1 x 5"),
    ],
)
def test_maps_too_small_to_pool_are_refused(neck, grid, message):
    with pytest.raises(UserError, match=message):
        neck([torch.zeros(1, 4, *grid) for _ in neck.channel_list])


def test_the_bottleneck_is_a_new_level_of_half_the_width_and_the_list_given_stays():
    neck = AddBottleneckLayer([4, 7])
    given = [torch.randn(2, 4, 6, 8), torch.randn(2, 7, 3, 4)]
    before = list(given)
    first, second, bottleneck = neck(given)
    assert given == before
    assert first is given[0]
    assert second is given[1]
    weight, bias = neck.bottleneck.weight[:, :, 0, 0], neck.bottleneck.bias
    expected = torch.einsum("oc,bchw->bohw", weight, given[1]) + bias.view(-1, 1, 1)
    torch.testing.assert_close(bottleneck, expected)
    assert neck.process_channel_list([4, 7]) == [4, 7, 3]
    assert neck.channel_list == [4, 7]


@pytest.mark.parametrize("grid", [(8, 8), (4, 12), (12, 4)])
def test_the_feature_pyramid_network_is_a_list_of_maps_of_one_width(grid):
    rows, columns = grid
    neck = FeaturePyramidNetworkNeck([4, 6], out_channel=5, output_ordered_dict=False)
    fine, coarse = torch.randn(2, 4, rows, columns), torch.randn(2, 6, rows // 2, columns // 2)
    maps = neck([fine, coarse])
    assert isinstance(maps, list)
    inner, layer = neck.fpn.inner_blocks, neck.fpn.layer_blocks
    enlarged = inner[1](coarse).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(maps[0], layer[0](inner[0](fine) + enlarged))
    torch.testing.assert_close(maps[1], layer[1](inner[1](coarse)))
    assert neck.process_channel_list([4, 6]) == [5, 5]


def test_the_feature_pyramid_network_is_256_wide_where_nothing_is_said():
    assert FeaturePyramidNetworkNeck([4, 6, 8]).process_channel_list([4, 6, 8]) == [256] * 3


def test_the_input_level_has_the_size_of_the_image_and_costs_no_memory():
    neck = AddInputLevel([4])
    level, other = neck([torch.ones(2, 4, 8, 8)], image_size=(64, 128))
    assert level.shape == (2, 1, 64, 128)
    assert level.untyped_storage().nbytes() <= 4
    assert other.shape == (2, 4, 8, 8)
    assert neck.process_channel_list([4]) == [1, 4]


@pytest.mark.parametrize(
    ("name", "widths", "arguments", "message"),
    [
        ("SelectIndices", [8, 8], {"indices": [0, 2]}, r"there are 2 features, so indices go from 0 to 1 \(or -2 to -1\); got \[0, 2\]. Write for example \[0, 1\]"),
        ("SelectIndices", [8, 8], {"indices": []}, r"got \[\]"),
        ("SelectIndices", [8, 8], {"indices": 1}, r"SelectIndices: indices is a list, such as \[-1\]; got 1"),
        ("SelectIndices", [8, 8], {"indices": "01"}, "indices is a list, such as .*; got '01'"),
        ("SelectIndices", [8, 8], {"indices": [0.5]}, "Each of SelectIndices: indices is a whole number; got 0.5"),
        ("SelectIndices", [8, 8], {"indices": [True]}, "is a whole number; got True"),
        ("AggregateTokens", [8], {"pooling": "avg"}, "no pooling 'avg'.*Allowed: mean, max, min, cls, a number"),
        ("AggregateTokens", [8], {"pooling": "men"}, "Did you mean 'mean'"),
        ("AggregateTokens", [8], {"pooling": 1.5}, "pooling, where it names a token, is a whole number; got 1.5"),
        ("AggregateTokens", [8], {"pooling": "CLS", "drop_cls": True}, "pooling=cls takes the class token, which drop_cls=true drops"),
        ("AggregateTokens", [8], {"index": 1}, r"AggregateTokens: there is 1 feature, .* got \[1\]"),
        ("AggregateTokens", [8, 8], {"index": 0, "indices": [1]}, r"give indices \(\[1\]\) or index \(0\), not both"),
        ("AggregateTokens", [8], {"indices": "all"}, "indices is a list"),
        ("ReshapeTokensToImage", [8], {"effective_time_dim": 0}, "effective_time_dim, the frames, is a whole number, 1 or more; got 0"),
        ("ReshapeTokensToImage", [8], {"h": 0}, "h, the rows of the grid, is a whole number, 1 or more; got 0"),
        ("ReshapeTokensToImage", [8], {"num_prefix_tokens": -1}, "num_prefix_tokens is a whole number, 0 or more; got -1"),
        ("ReshapeTokensToImage", [8], {"num_prefix_tokens": 5, "remove_cls_token": False}, "remove_cls_token=false says .* num_prefix_tokens=5"),
        ("PermuteDims", [8], {"new_order": [0, 3, 1]}, r"names each dimension once, such as \[0, 3, 1, 2\]; got \[0, 3, 1\]"),
        ("PermuteDims", [8], {"new_order": []}, "names each dimension once"),
        ("PermuteDims", [8], {"new_order": 3}, r"PermuteDims: new_order is a list, such as \[0, 3, 1, 2\]; got 3"),
        ("LearnedInterpolateToPyramidal", [6, 8, 8, 8], {}, "level 0 is enlarged 4 times .* must be a multiple of 4; got .* Select other or fewer layers"),
        ("LearnedInterpolateToPyramidal", [8, 7, 8, 8], {}, "level 1 is enlarged 2 times .* must be a multiple of 2"),
        ("LearnedInterpolateToPyramidal", [48] * 12, {}, "12 features make a pyramid whose level 0 is enlarged 1024 times"),
        ("InterpolateToPyramidal", [8], {"scale_factor": 1}, "scale_factor is a whole number, 2 or more; got 1"),
        ("InterpolateToPyramidal", [8], {"scale_factor": 2.5}, "scale_factor is a whole number, 2 or more; got 2.5"),
        ("InterpolateToPyramidal", [8], {"mode": "cubic"}, "no mode 'cubic'. Did you mean 'bicubic'"),
        ("MaxpoolToPyramidal", [8], {"kernel_size": 1}, "kernel_size is a whole number, 2 or more; got 1"),
        ("LearnedInterpolateToPyramidal", [6, 7, 8, 8], {}, r"or project them: \{name: ProjectChannels, channels: \[8, 8, 8, 8\]\}"),
        ("LearnedInterpolateToPyramidal", [8, 8], {"exponents": [1]}, r"exponents has one number per feature: 2 here, got \[1\]"),
        ("InterpolateToPyramidal", [8, 8], {"exponents": 2}, r"InterpolateToPyramidal: exponents is a list, such as .*; got 2"),
        ("MaxpoolToPyramidal", [8, 8], {"exponents": [1, 0]}, r"exponents are 0 or less, since it enlarges nothing; got \[1, 0\]"),
        ("ProjectChannels", [8, 8], {"channels": [8]}, r"one width, or a list of one per feature: 2 here, got \[8\]"),
        ("ProjectChannels", [8, 8], {"channels": 0}, "ProjectChannels: channels is a whole number, 1 or more; got 0"),
        ("ProjectChannels", [8, 8], {"channels": "8"}, "ProjectChannels: channels is a list, such as 256, or .*; got '8'"),
        ("PermuteDims", [8], {"new_order": [0, 2, 1], "indices": [1]}, "PermuteDims: there is 1 feature, so indices go from 0 to 0"),
        ("ReshapeTokensToImage", [8], {"indices": []}, r"ReshapeTokensToImage: .* got \[\]"),
        ("AddBottleneckLayer", [8, 1], {}, "the last feature's width, which is halved, is a whole number, 2 or more; got 1"),
        ("FeaturePyramidNetworkNeck", [8], {"out_channel": 0}, "out_channel is a whole number, 1 or more; got 0"),
        ("FeaturePyramidNetworkNeck", [8], {"output_ordered_dict": True}, "returns a list of maps.* write false"),
    ],
)  # fmt: skip
def test_an_argument_that_cannot_be_is_refused(name, widths, arguments, message):
    with pytest.raises(UserError, match=message):
        NECK_REGISTRY[name](widths, **arguments)


@pytest.mark.parametrize(("shape", "order"), [((2, 9, 3), "[0, 3, 1, 2]"), ((2, 3, 4, 5), "[0, 2, 1]")])
def test_a_permutation_of_another_number_of_dimensions_is_refused(shape, order):
    neck = PermuteDims([3], new_order=list(OmegaConf.create(order)))
    with pytest.raises(UserError, match=r"is for features of \d dimensions; got one of shape"):
        neck([torch.zeros(shape)])


def test_flattening_takes_maps_and_tokens_alone():
    with pytest.raises(UserError, match=r"FlattenMapsToTokens takes maps .* got a feature of shape"):
        NECK_REGISTRY.build("FlattenMapsToTokens", [3])([torch.zeros(2, 3)])


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


# Sequences


def test_a_sequence_gives_the_image_size_to_those_that_ask():
    sequence = NeckSequence([SelectIndices([3, 3], indices=[1]), ReshapeTokensToImage([3]), AddInputLevel([3])])
    level, maps = sequence([torch.zeros(1, 9, 3), grid_tokens(2, 4)], (32, 64))
    assert level.shape == (1, 1, 32, 64)
    assert maps.shape == (1, 3, 2, 4)


def test_a_type_error_inside_a_neck_comes_through_and_the_neck_runs_once():
    class Broken(Neck):
        calls = 0

        def forward(self, features, image_size=None):
            self.calls += 1
            raise TypeError("from inside")

    broken = Broken([3])
    with pytest.raises(TypeError, match="from inside"):
        NeckSequence([broken])([torch.zeros(1, 3, 4, 4)], (64, 64))
    assert broken.calls == 1


def test_a_neck_that_returns_a_mapping_is_refused_by_name():
    class Named(Neck):
        def forward(self, features):
            return {"0": features[0]}

    with pytest.raises(UserError, match="The neck Named returns dict; a neck returns a list of tensors"):
        NeckSequence([Named([3]), SelectIndices([3], indices=[0])])([torch.zeros(1, 3, 4, 4)], (64, 64))


def test_features_go_through_a_sequence_without_copies():
    given = [torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)]
    sequence = NeckSequence([SelectIndices([3, 3], indices=[1, 0]), MaxpoolToPyramidal([3, 3])])
    assert sequence(given, (64, 64))[0] is given[1]


def test_an_empty_sequence_hands_the_features_on():
    given = [torch.ones(1)]
    assert NeckSequence()(given, (8, 8))[0] is given[0]


def test_a_neck_that_does_not_say_its_widths_is_told_to():
    class Mute(Neck):
        pass

    with pytest.raises(NotImplementedError, match="Mute has to say how it changes the widths"):
        Mute([3]).process_channel_list([3])
