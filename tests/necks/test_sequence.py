"""The sequence of necks in a model."""

import pytest
import torch

from geocompose.errors import UserError
from geocompose.necks import Neck, NeckSequence
from geocompose.necks.layout import ReshapeTokensToImage
from geocompose.necks.levels import AddInputLevel
from geocompose.necks.pyramid import MaxpoolToPyramidal
from geocompose.necks.select import SelectIndices
from tests.kit.grids import grid_tokens

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
