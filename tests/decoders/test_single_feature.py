"""Decoders of one feature or of features joined: perceptron, identity, linear."""

from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from geocompose.decoders.identity import IdentityDecoder
from geocompose.decoders.linear import LinearDecoder
from geocompose.decoders.mlp import ACTIVATIONS, MLPDecoder
from geocompose.errors import UserError

# Perceptron


def test_the_perceptron_joins_all_features_and_is_as_wide_as_the_last():
    decoder = MLPDecoder([64, 64, 64, 64])  # as recorded from TerraTorch
    assert {name: tuple(value.shape) for name, value in decoder.state_dict().items()} == {
        "hidden_layer.weight": (64, 256), "hidden_layer.bias": (64,),
    }  # fmt: skip
    assert decoder.out_channels == 64


def test_the_perceptron_is_a_linear_layer_with_its_activation_at_each_position():
    decoder = MLPDecoder([3, 5])
    fine, coarse = torch.randn(2, 3, 8, 6), torch.randn(2, 5, 4, 3)
    joined = torch.cat([fine, F.interpolate(coarse, size=(8, 6), mode="bilinear")], dim=1)
    expected = torch.einsum("bchw,oc->bohw", joined, decoder.hidden_layer.weight)
    expected = (expected + decoder.hidden_layer.bias[:, None, None]).relu()
    torch.testing.assert_close(decoder([fine, coarse]), expected)


@pytest.mark.parametrize("shape", [(2, 9), (2,)])
def test_the_perceptron_takes_tokens_and_vectors(shape):
    decoder = MLPDecoder([3, 5])
    one, other = torch.randn(*shape, 3), torch.randn(*shape, 5)
    expected = decoder.hidden_layer(torch.cat([one, other], dim=-1)).relu()
    assert torch.equal(decoder([one, other]), expected)
    assert decoder([one, other]).shape == (*shape, 5)


def test_the_perceptron_obeys_its_channels_and_out_dim():
    """TerraTorch's ignores both."""
    given = [torch.randn(2, 3), torch.randn(2, 5)]
    wide = MLPDecoder([3, 5], channels=7)
    assert wide(given).shape == (2, 7) == (2, wide.out_channels)
    two = MLPDecoder([3, 5], channels=7, out_dim=2)
    assert two(given).shape == (2, 2) == (2, two.out_channels)
    assert two.output_layer is not None
    torch.testing.assert_close(two(given), two.output_layer(two.hidden_layer(torch.cat(given, 1)).relu()).relu())
    assert MLPDecoder([3, 5], out_dim=2, out_index=0).hidden_layer.out_features == 3


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_perceptron_has_the_activation_that_is_named(activation):
    decoder = MLPDecoder([3], activation=activation)
    x = torch.randn(4, 3)
    assert torch.equal(decoder([x]), getattr(nn, activation)()(decoder.hidden_layer(x)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "MLPDecoder: channels must be a whole number, 1 or more; got 0"),
        ({"out_dim": 2.5}, "MLPDecoder: out_dim must be a whole number, 1 or more; got 2.5"),
        ({"activation": "relu"}, "MLPDecoder has no activation 'relu'. Did you mean 'ReLU'"),
        ({"out_index": -3}, r"MLPDecoder: out_index goes from -2 to 1 for 2 features; got -3"),
    ],
)
def test_wrong_arguments_of_the_perceptron_are_told(arguments, message):
    with pytest.raises(UserError, match=message):
        MLPDecoder([3, 5], **arguments)


# Identity, linear, UPerNet, U-Net


@pytest.mark.parametrize("shape", [(2, 5, 4, 4), (2, 16, 5), (2, 5)])
def test_the_identity_hands_on_maps_tokens_and_vectors_as_they_are(shape):
    given = [torch.randn(2, 3), torch.randn(shape)]
    assert IdentityDecoder([3, 5])(given) is given[1]
    first = IdentityDecoder([3, 5], out_index=0)
    assert first(given) is given[0]
    assert first.out_channels == 3
    with pytest.raises(UserError, match=r"IdentityDecoder: out_index goes from -2 to 1 for 2 features; got 2"):
        IdentityDecoder([3, 5], out_index=2)


def test_the_linear_decoder_predicts_each_pixel_from_its_own_cell():
    decoder = LinearDecoder([3, 5], num_classes=2, upsampling_size=4)
    cells = torch.randn(1, 5, 3, 6)
    output = decoder([torch.randn(1, 3, 6, 12), cells])
    expected = torch.einsum("bchw,coij->bohiwj", cells, decoder.conv.weight).reshape(1, 2, 12, 24)
    torch.testing.assert_close(output, expected + decoder.conv.bias[:, None, None])


def test_the_linear_decoder_takes_its_size_from_the_feature_that_it_reads():
    assert LinearDecoder([3, 5], 2, strides=[8, 16]).conv.stride == (16, 16)
    assert LinearDecoder([3, 5], 2, strides=[8, 16], in_index=0).conv.stride == (8, 8)
    assert LinearDecoder([3, 5], 2, strides=[8, 16], upsampling_size=2).conv.stride == (2, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "LinearDecoder: give upsampling_size, the stride of the feature"),
        ({"strides": [Fraction(7, 2)]}, "the feature's stride is 3.5 pixels; give upsampling_size"),
        ({"upsampling_size": 0}, "LinearDecoder: upsampling_size must be a whole number, 1 or more; got 0"),
        ({"upsampling_size": 4, "in_index": 1}, "LinearDecoder: in_index goes from -1 to 0"),
    ],
)
def test_wrong_arguments_of_the_linear_decoder_are_told(arguments, message):
    with pytest.raises(UserError, match=message):
        LinearDecoder([4], 2, **arguments)
