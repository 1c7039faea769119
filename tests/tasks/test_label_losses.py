"""Losses of any number of classes per image, against their definitions."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from geocompose.tasks.label_losses import multilabel_loss
from tests.kit.losses import decisions, sigmoid

MULTILABEL = ("bce", "balanced_bce", "focal", "jaccard")


def of_decisions(spec: Any, logits: Tensor, label: Tensor, **more: Any) -> Tensor:
    return multilabel_loss(spec, logits.shape[1], **more)(logits, label)


# Any classes an image


def known_decisions(logits: Tensor, label: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cost, truth and probability of the right answer of each known decision, NaN elsewhere, in numpy."""
    truth = np.where(label.numpy() < 0, np.nan, label.numpy())
    p = sigmoid(logits.double().numpy())
    right = np.where(truth == 1, p, np.where(truth == 0, 1 - p, np.nan))
    return -np.log(right), truth, right


def test_bce_is_the_mean_over_known_decisions_each_class_by_its_weight():
    logits, label = decisions()
    cost, truth, _ = known_decisions(logits, label)
    assert of_decisions("bce", logits, label).item() == pytest.approx(np.nanmean(cost), rel=1e-6)
    weights = np.where(np.isnan(truth), 0, np.array([1.0, 0.0, 3.0]))
    expected = np.nansum(weights * np.nan_to_num(cost)) / weights.sum()
    assert of_decisions("bce", logits, label, class_weights=[1.0, 0.0, 3.0]).item() == pytest.approx(expected, rel=1e-6)


def test_positive_weights_make_a_yes_count_more():
    logits, label = decisions()
    cost, truth, _ = known_decisions(logits, label)
    factor = np.where(truth == 1, np.array([4.0, 1.0, 2.0]), 1.0)
    got = of_decisions("bce", logits, label, positive_weights=[4.0, 1.0, 2.0]).item()
    assert got == pytest.approx(np.nanmean(factor * cost), rel=1e-6)


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal_of_labels_is_binary_cross_entropy_by_what_the_right_answer_lacks(alpha):
    logits, label = decisions()
    cost, truth, right = known_decisions(logits, label)
    share = 1.0 if alpha is None else np.where(truth == 1, alpha, 1 - alpha)
    own = {} if alpha is None else {"alpha": alpha}
    got = of_decisions({"focal": {"gamma": 3.0, **own}}, logits, label).item()
    assert got == pytest.approx(np.nanmean(share * (1 - right) ** 3 * cost), rel=1e-5)


def test_balanced_bce_gives_yes_and_no_the_same_weight():
    logits, label = decisions()
    cost, truth, _ = known_decisions(logits, label)
    expected = (cost[truth == 1].mean() + cost[truth == 0].mean()) / 2
    assert of_decisions("balanced_bce", logits, label).item() == pytest.approx(expected, rel=1e-6)
    only_no = label.clamp(max=0)
    expected = known_decisions(logits, only_no)[0]
    assert of_decisions("balanced_bce", logits, only_no).item() == pytest.approx(np.nanmean(expected), rel=1e-6)


def test_jaccard_of_labels_is_one_minus_the_soft_iou_of_the_classes_they_hold():
    logits, label = decisions()
    label[:, 2] = label[:, 2].clamp(max=0)
    _, truth, _ = known_decisions(logits, label)
    p = np.where(np.isnan(truth), 0, sigmoid(logits.double().numpy()))
    truth = np.nan_to_num(truth)
    hits = (p * truth).sum(axis=0)
    expected = 1 - (hits / (p.sum(axis=0) + truth.sum(axis=0) - hits))[:2].mean()
    assert of_decisions("jaccard", logits, label).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("spec", [*MULTILABEL, {"bce": 0.5, "jaccard": 0.5}])
@pytest.mark.parametrize("classes", [1, 3])
def test_a_batch_of_unknown_labels_costs_nothing(spec, classes):
    logits = torch.randn(4, classes, requires_grad=True)
    loss = of_decisions(spec, logits, torch.full((4, classes), -1))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("spec", MULTILABEL)
def test_a_single_label_an_image_has_a_loss_that_falls(spec):
    logits = torch.zeros(4, 1, requires_grad=True)
    label = torch.tensor([[1], [0], [1], [1]])
    loss = of_decisions(spec, logits, label)
    loss.backward()
    assert of_decisions(spec, logits.detach() - logits.grad, label) < loss
