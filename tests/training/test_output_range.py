"""Activations at the end of a head of numbers: the labels have to be in their reach."""

import logging

import pytest
from torch import nn

from geocompose.errors import UserError
from geocompose.heads.regression import RegressionHead
from geocompose.imagery.samples import Target
from geocompose.training.output_range import check_output_range
from tests.kit.command import SMALL, only_run, record_of, run

SCALED = Target("regression", ("height",), mean=(300.0,), std=(20.0,))
OWN_UNIT = Target("regression", ("height",), mean=(0.0,), std=(1.0,))


def holder(final_act, variables=1):
    model = nn.Module()
    model.head = RegressionHead(4, variables, final_act=final_act)
    return model


def labels(least, greatest, mean, std):
    return {"min": least, "max": greatest, "mean": mean, "std": std}


@pytest.mark.parametrize("final_act", ["torch.nn.ReLU", "torch.nn.Sigmoid", "torch.nn.Tanh", "torch.nn.Softplus"])
def test_a_bounded_activation_in_front_of_the_labels_deviation_is_refused(final_act):
    told = r"head.final_act=\w+ lets the model say .* of height, .* 250 to 380.*data.normalize_target=none"
    with pytest.raises(UserError, match=told):
        check_output_range(holder(final_act), SCALED, {"height": labels(250.0, 380.0, 300.0, 20.0)})


def test_a_bounded_activation_that_misses_labels_in_their_own_unit_is_refused():
    with pytest.raises(UserError, match=r"say 0 to 1 of height.*250 to 380\. Write head\.final_act=null"):
        check_output_range(holder("torch.nn.Sigmoid"), OWN_UNIT, {"height": labels(250.0, 380.0, 300.0, 20.0)})


@pytest.mark.parametrize(
    ("final_act", "given"),
    [
        ("torch.nn.Sigmoid", labels(0.0, 1.0, 0.3, 0.2)),
        ("torch.nn.ReLU", labels(0.0, 500.0, 5.0, 20.0)),
        ("torch.nn.Softplus", labels(0.0, 5e7, 5.0, 20.0)),
        ("torch.nn.LeakyReLU", labels(-3000.0, 500.0, 5.0, 20.0)),
        (None, labels(-3e8, 5e9, 5.0, 20.0)),
    ],
)
def test_an_activation_that_reaches_all_labels_is_silent(final_act, given, caplog):
    check_output_range(holder(final_act), OWN_UNIT, {"height": given})
    assert not caplog.records


def test_an_activation_that_misses_rare_labels_alone_is_told(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("geocompose"), "propagate", True)
    check_output_range(holder("torch.nn.ReLU"), OWN_UNIT, {"height": labels(-2.0, 500.0, 5.0, 20.0)})
    assert "say 0 to 1e+18 of height, but its training labels are -2 to 500" in caplog.text


def test_an_activation_across_variables_is_tried_across_them(caplog):
    target = Target("regression", ("grass", "trees"), mean=(0.0, 0.0), std=(1.0, 1.0))
    share = labels(0.0, 1.0, 0.5, 0.2)
    check_output_range(holder("torch.nn.Softmax2d", 2), target, {"grass": share, "trees": share})
    assert not caplog.records


def test_each_variable_is_looked_at_and_named():
    target = Target("regression", ("share", "height"), mean=(0.0, 0.0), std=(1.0, 1.0))
    both = {"share": labels(0.0, 1.0, 0.5, 0.2), "height": labels(0.0, 30.0, 12.0, 5.0)}
    with pytest.raises(UserError, match="of height"):
        check_output_range(holder("torch.nn.Sigmoid", 2), target, both)


def test_a_run_with_a_relu_trains_in_the_labels_unit_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relu = (
        *SMALL,
        "data.landscape=spectral",
        "task=regression",
        "head.final_act=torch.nn.ReLU",
        "trainer.max_epochs=1",
    )
    with pytest.raises(UserError, match=r"data\.normalize_target=none"):
        run(*relu)
    assert not list(tmp_path.iterdir())
    run(*relu, "data.normalize_target=none")
    assert record_of(only_run("default"))["status"] == "completed"
