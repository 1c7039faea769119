"""What holds for every head."""

import copy
import pickle

import pytest
import torch
from omegaconf import OmegaConf

from geocompose.errors import UserError
from geocompose.heads import HEADS
from tests.kit.decoded import BUILT, built, decoded


@pytest.mark.parametrize("kind", HEADS)
def test_gradients_reach_every_parameter_of_a_head(kind):
    head, given = built(kind).train(), decoded(6).requires_grad_()
    head(given).square().sum().backward()
    assert [name for name, parameter in head.named_parameters() if not parameter.grad.abs().sum() > 0] == []
    assert given.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", HEADS)
def test_copies_of_a_head_and_its_state_give_the_same_outputs(kind):
    head, other = built(kind).eval(), HEADS[kind](6, 3, **BUILT[kind]).eval()
    expected = head(decoded(6))
    other.load_state_dict(head.state_dict(), strict=True)
    for copied in (copy.deepcopy(head), pickle.loads(pickle.dumps(head)), other):
        assert torch.equal(copied(decoded(6)), expected)


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_is_exported(kind):
    head = built(kind).eval()
    program = torch.export.export(head, (decoded(6),))
    torch.testing.assert_close(program.module()(decoded(6)), head(decoded(6)))


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_takes_the_lists_of_a_configuration(kind):
    plain = {key: value for key, value in BUILT[kind].items() if isinstance(value, list)}
    configured = HEADS[kind](6, 3, **OmegaConf.create(plain))
    shapes = [
        [value.shape for value in head.state_dict().values()] for head in (configured, HEADS[kind](6, 3, **plain))
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("kind", HEADS)
def test_dropout_acts_in_training_alone(kind):
    torch.manual_seed(0)
    head, given = HEADS[kind](64, 3, dropout=0.5), decoded(64)
    assert not torch.equal(head.train()(given), head(given))
    assert torch.equal(head.eval()(given), head(given))


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        *((kind, {"dropout": dropout}, rf"head\.dropout must be from 0 to below 1; got {dropout}")
          for kind in HEADS for dropout in (1, -0.1)),
        ("segmentation", {"dropout": "0.1"}, "head.dropout must be from 0 to below 1; got '0.1'"),
        ("segmentation", {"channel_list": 16}, r"head.channel_list must be a list, such as \[32, 16\]; got 16"),
        ("segmentation", {"channel_list": [0]}, "Each of head.channel_list must be a whole number, 1 or more; got 0"),
        ("regression", {"channel_list": [1.5]}, "Each of head.channel_list must be a whole number, 1 or more; got 1.5"),
        ("regression", {"learned_upscale_layers": -1},
         "head.learned_upscale_layers must be a whole number, 0 or more; got -1"),
        ("classification", {"dim_list": 8}, "head.dim_list must be a list, such as .*; got 8"),
        ("scalar_regression", {"dim_list": [-8]}, "Each of head.dim_list must be a whole number, 1 or more; got -8"),
    ],
)  # fmt: skip
def test_an_argument_of_a_head_that_cannot_be_is_refused(kind, arguments, message):
    with pytest.raises(UserError, match=message):
        HEADS[kind](6, 3, **arguments)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("segmentation", "SegmentationHead: num_classes"),
        ("regression", "RegressionHead: num_outputs"),
        ("classification", "ClassificationHead: the number of outputs"),
        ("scalar_regression", "ScalarRegressionHead: the number of outputs"),
    ],
)
def test_a_head_has_an_output_or_more(kind, name):
    with pytest.raises(UserError, match=f"{name} must be a whole number, 1 or more; got 0"):
        HEADS[kind](6, 0)
