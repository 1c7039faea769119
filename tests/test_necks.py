"""Necks put every feature where it belongs and refuse what they can't read."""

import pytest
import torch
from torch import Tensor

from geocompose.errors import UserError
from geocompose.necks import Neck, NeckSequence
from geocompose.necks.layout import PermuteDims, ReshapeTokensToImage
from geocompose.necks.pyramid import AddInputLevel, InterpolateToPyramidal, LearnedInterpolateToPyramidal
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


@pytest.mark.parametrize(
    ("neck", "size", "message"),
    [
        (ReshapeTokensToImage([3]), (32, 64), "16 tokens in 1 frame.* form no grid of an image of 32 x 64 pixels"),
        (ReshapeTokensToImage([3], remove_cls_token=False), (64, 64), r"17 tokens .*prefix tokens \(now 0\)"),
        (ReshapeTokensToImage([3], effective_time_dim=3), (64, 64), "16 tokens in 3 frame.*Check effective_time_dim"),
        (ReshapeTokensToImage([3], h=3), None, "form no grid of a square image"),
    ],
)
def test_tokens_that_form_no_grid_are_refused(neck, size, message):
    with pytest.raises(UserError, match=message):
        neck([grid_tokens(4, 4)], image_size=size)


def test_maps_are_refused_as_tokens():
    with pytest.raises(UserError, match=r"takes tokens .* got a feature of shape \(1, 3, 4, 4\)"):
        ReshapeTokensToImage([3])([torch.zeros(1, 3, 4, 4)], image_size=(64, 64))


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


def test_the_learned_pyramid_doubles_twice_and_halves_once():
    neck = LearnedInterpolateToPyramidal([16, 16, 16, 16])
    levels = neck([torch.randn(2, 16, 6, 10) for _ in range(4)])
    assert [tuple(level.shape) for level in levels] == [(2, 4, 24, 40), (2, 8, 12, 20), (2, 16, 6, 10), (2, 16, 3, 5)]
    assert neck.process_channel_list([16] * 4) == [level.shape[1] for level in levels]


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
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
        ("SelectIndices", [8, 8], {"indices": [0, 2]}, r"returns 2 features, so indices go from 0 to 1 \(or -2 to -1\); got \[0, 2\]"),
        ("SelectIndices", [8, 8], {"indices": []}, r"got \[\]"),
        ("ReshapeTokensToImage", [8], {"effective_time_dim": 0}, "effective_time_dim is a number of frames, 1 or more; got 0"),
        ("PermuteDims", [8], {"new_order": [0, 3, 1]}, r"names each dimension once, such as \[0, 3, 1, 2\]; got \[0, 3, 1\]"),
        ("LearnedInterpolateToPyramidal", [8] * 3, {}, "from 4 features; got 3"),
        ("LearnedInterpolateToPyramidal", [6, 8, 8, 8], {}, "multiple of 4, the second of 2; got"),
        ("InterpolateToPyramidal", [8], {"scale_factor": 1}, "scale_factor is a whole number from 2 on; got 1"),
        ("InterpolateToPyramidal", [8], {"mode": "cubic"}, "mode is nearest, bilinear or bicubic; got 'cubic'"),
    ],
)  # fmt: skip
def test_an_argument_that_cannot_be_is_refused(name, widths, arguments, message):
    with pytest.raises(UserError, match=message):
        NECK_REGISTRY[name](widths, **arguments)


def test_every_registered_neck_keeps_the_contract():
    assert len(NECK_REGISTRY) >= 6
    for name, neck in NECK_REGISTRY.items():
        assert issubclass(neck, Neck), name
        assert neck.process_channel_list is not Neck.process_channel_list, name
        assert neck.forward is not Neck.forward, name


def test_a_sequence_gives_the_image_size_to_those_that_ask():
    sequence = NeckSequence([SelectIndices([3, 3], indices=[1]), ReshapeTokensToImage([3]), AddInputLevel([3])])
    level, maps = sequence([torch.zeros(1, 9, 3), grid_tokens(2, 4)], (32, 64))
    assert level.shape == (1, 1, 32, 64)
    assert maps.shape == (1, 3, 2, 4)


def test_an_empty_sequence_hands_the_features_on():
    given = [torch.ones(1)]
    assert NeckSequence()(given, (8, 8))[0] is given[0]


def test_a_neck_that_does_not_say_its_widths_is_told_to():
    class Mute(Neck):
        pass

    with pytest.raises(NotImplementedError, match="Mute has to say how it changes the widths"):
        Mute([3]).process_channel_list([3])
