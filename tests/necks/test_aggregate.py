"""One vector per feature."""

import pytest
import torch

from geocompose.errors import UserError
from geocompose.necks.aggregate import AggregateTokens
from tests.kit.grids import SHAPES

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


@pytest.mark.parametrize(
    ("pooling", "drop_cls", "place"), [(0, False, 0), (3, False, 3), (-1, False, 8), (0, True, 1), (-8, True, 1)]
)
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
        ({"pooling": "cls"}, (2, 5, 3, 3),
         r"pooling=cls needs tokens.* a map of shape \(2, 5, 3, 3\) has none.*before ReshapeTokensToImage"),
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
