"""Choosing among features, in the neck and in the backbone."""

import pytest
import torch
from torch import Tensor, nn

from geocompose.necks.select import SelectIndices


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
