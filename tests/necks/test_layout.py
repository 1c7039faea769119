"""Necks that change a feature's layout: tokens to maps and back, other orders of dimensions."""

import pytest
import torch

from geocompose.errors import UserError
from geocompose.necks.layout import PermuteDims, ReshapeTokensToImage
from tests.kit.grids import SHAPES, grid_tokens


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
