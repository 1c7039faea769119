"""Losses of numbers, against their definitions."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.tasks.number_losses import regression_loss
from tests.kit.losses import numbers

REGRESSION = ("mse", "mae", "rmse", "huber")


# Numbers


def residuals(output: Tensor, label: Tensor, target: Target) -> list[np.ndarray]:
    """Return for each variable output minus standardised label where there is one, in numpy."""
    if len(target.names) == 1:
        output, label = output.unsqueeze(1), label.unsqueeze(1)
    found = []
    for v in range(len(target.names)):
        truth = (label[:, v].double().numpy() - target.mean[v]) / target.std[v]
        found.append((output[:, v].double().numpy() - truth)[~np.isnan(truth)])
    return found


DEFINITIONS: dict[str, Callable[[np.ndarray], float]] = {
    "mse": lambda e: float((e**2).mean()),
    "mae": lambda e: float(np.abs(e).mean()),
    "rmse": lambda e: float(np.sqrt((e**2).mean())),
    "huber": lambda e: float(np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5).mean()),
}


@pytest.mark.parametrize("variables", [1, 2])
@pytest.mark.parametrize("name", REGRESSION)
def test_a_loss_of_numbers_is_its_definition_in_standard_deviations(name, variables):
    output, label, target = numbers(variables)
    expected = np.mean([DEFINITIONS[name](errors) for errors in residuals(output, label, target)])
    assert regression_loss(name, target)(output, label).item() == pytest.approx(expected, rel=1e-5)


def test_rmse_is_the_true_root_and_not_the_fourth():
    target = Target("scalar_regression", ("x",), mean=(0.0,), std=(1.0,))
    output, label = torch.zeros(2), torch.tensor([3.0, 5.0])
    assert regression_loss("rmse", target)(output, label).item() == pytest.approx(np.sqrt(17))


def test_huber_takes_its_own_delta():
    output, label, target = numbers()
    expected = np.mean(
        [np.where(np.abs(e) <= 0.2, e**2 / 2, 0.2 * (np.abs(e) - 0.1)).mean() for e in residuals(output, label, target)]
    )
    got = regression_loss({"huber": {"delta": 0.2}}, target)(output, label).item()
    assert got == pytest.approx(expected, rel=1e-5)


def test_variables_count_by_their_weights():
    output, label, target = numbers()
    first, second = (DEFINITIONS["mse"](errors) for errors in residuals(output, label, target))
    got = regression_loss("mse", target, [3.0, 1.0])(output, label).item()
    assert got == pytest.approx((3 * first + second) / 4, rel=1e-5)


def test_a_variable_without_label_in_the_batch_leaves_the_mean():
    output, label, target = numbers()
    label[:, 1] = float("nan")
    only = DEFINITIONS["mae"](residuals(output, label, target)[0])
    assert regression_loss("mae", target, [1.0, 5.0])(output, label).item() == pytest.approx(only, rel=1e-5)


@pytest.mark.parametrize("name", [*REGRESSION, {"mse": 0.5, "rmse": 0.5}])
@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 4, 4), (3, 2, 4, 4)])
def test_a_batch_without_any_number_costs_nothing_and_teaches_nothing(name, shape):
    names = ("a", "b") if len(shape) % 2 == 0 else ("a",)
    target = Target("regression", names, mean=(1.0,) * len(names), std=(2.0,) * len(names))
    output = torch.randn(shape, requires_grad=True)
    loss = regression_loss(name, target)(output, torch.full(shape, float("nan")))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(output.grad, torch.zeros_like(output))


@pytest.mark.parametrize("name", REGRESSION)
def test_a_perfect_prediction_costs_nothing_and_has_finite_gradients(name):
    output = torch.zeros(4, requires_grad=True)
    target = Target("scalar_regression", ("x",), mean=(5.0,), std=(2.0,))
    loss = regression_loss(name, target)(output, torch.full((4,), 5.0))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert torch.isfinite(output.grad).all()


def test_labels_of_a_large_number_lose_nothing_to_the_mean():
    target = Target("scalar_regression", ("x",), mean=(1e6,), std=(1.0,))
    label = torch.tensor([1e6 + 1, 1e6 - 2])
    assert regression_loss("mae", target)(torch.zeros(2), label).item() == pytest.approx(1.5)


@pytest.mark.parametrize("std", [0.0, float("nan")])
def test_labels_that_do_not_vary_are_refused(std):
    target = Target("regression", ("height", "age"), mean=(1.0, 2.0), std=(1.0, std))
    with pytest.raises(UserError, match=r"training labels of age do not vary.*normalize_target=none"):
        regression_loss("mse", target)
