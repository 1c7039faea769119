"""Pyramids, and levels that are added to them."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from geocompose.errors import UserError
from geocompose.necks.fpn import FeaturePyramidNetworkNeck
from geocompose.necks.levels import AddBottleneckLayer, AddInputLevel
from geocompose.necks.pyramid import InterpolateToPyramidal, LearnedInterpolateToPyramidal, MaxpoolToPyramidal

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
