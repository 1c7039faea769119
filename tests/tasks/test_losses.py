"""What a configuration may call a loss: names, sums, arguments, and what is refused."""

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from geocompose.errors import UserError
from geocompose.tasks.class_losses import classification_loss, segmentation_loss
from geocompose.tasks.label_losses import multilabel_loss
from geocompose.tasks.losses import build_loss
from geocompose.tasks.number_losses import regression_loss
from geocompose.tasks.own_losses import Surroundings
from tests.kit.losses import IGNORE, SEGMENTATION, decisions, numbers, of_pixels, pixels

# How a configuration names losses


def test_a_weighted_sum_is_the_sum_of_its_weighted_parts():
    logits, mask = pixels()
    parts = {name: of_pixels(name, logits, mask) for name in ("ce", "dice")}
    torch.testing.assert_close(of_pixels({"ce": 0.25, "dice": 2}, logits, mask), 0.25 * parts["ce"] + 2 * parts["dice"])
    torch.testing.assert_close(of_pixels(["ce", "dice"], logits, mask), parts["ce"] + parts["dice"])
    torch.testing.assert_close(of_pixels({"dice": 3.0}, logits, mask), 3 * parts["dice"])


def test_a_loss_takes_arguments_in_place_of_its_weight():
    logits, mask = pixels()
    spec = {"tversky": {"weight": 0.5, "alpha": 0.5, "beta": 0.5}, "ce": {"weight": 2}, "focal": {}}
    parts = {name: of_pixels(name, logits, mask) for name in ("ce", "dice", "focal")}
    expected = 0.5 * parts["dice"] + 2 * parts["ce"] + parts["focal"]
    torch.testing.assert_close(of_pixels(spec, logits, mask), expected)


@pytest.mark.parametrize(
    "spec", [{"ce": 0.5, "focal": {"weight": 0.5, "gamma": 1.0}}, ["ce", "dice"], {"tversky": {"alpha": 0.4}}]
)
def test_losses_given_as_omegaconf_containers_are_the_same(spec):
    logits, mask = pixels()
    assert torch.equal(of_pixels(OmegaConf.create(spec), logits, mask), of_pixels(spec, logits, mask))
    weights = [1.0, 2.0, 3.0]
    assert torch.equal(
        of_pixels("ce", logits, mask, class_weights=OmegaConf.create(weights)),
        of_pixels("ce", logits, mask, class_weights=weights),
    )
    output, label, target = numbers()
    plain = regression_loss(["mse", "mae"], target, [1.0, 2.0])(output, label)
    given = regression_loss(OmegaConf.create(["mse", "mae"]), target, OmegaConf.create([1.0, 2.0]))(output, label)
    assert torch.equal(plain, given)
    logits, label = decisions()
    factors = [1.0, 2.0, 3.0]
    plain = multilabel_loss("bce", 3, factors, factors)(logits, label)
    given = multilabel_loss("bce", 3, OmegaConf.create(factors), OmegaConf.create(factors))(logits, label)
    assert torch.equal(plain, given)


@pytest.mark.parametrize("spec", [*SEGMENTATION, {"ce": 1.0, "dice": 1.0}])
def test_losses_are_computed_in_full_precision(spec):
    logits, mask = pixels()
    assert of_pixels(spec, logits.bfloat16(), mask).dtype == torch.float32


@pytest.mark.parametrize(
    ("spec", "changes", "message"),
    [
        ("dise", {}, "task.loss has no loss 'dise'. Did you mean 'dice'"),
        (
            {"ce": 0.5, "bce": 0.5},
            {},
            "no loss 'bce'.*Allowed: ce, focal, sigmoid_focal, dice, jaccard, lovasz, tversky",
        ),
        ({"ce": -1.0}, {}, "weights must be above 0; got -1.0 for ce"),
        ({"ce": float("nan")}, {}, "weights must be above 0; got nan for ce"),
        ({"ce": float("inf")}, {}, "weights must be above 0; got inf for ce"),
        ({}, {}, "task.loss names no loss. Allowed: ce"),
        ([], {}, "task.loss names no loss"),
        (["ce", "ce"], {}, "names ce twice; give it a weight instead: {ce: 2}"),
        ({"ce": "much"}, {}, r"task\.loss\.ce\.weight must be a number; got 'much'"),
        ({"tversky": {"alfa": 1.0}}, {}, "tversky has no argument 'alfa'. Did you mean 'alpha'.*weight, alpha, beta"),
        ({"ce": {"gamma": 1.0}}, {}, "ce has no argument 'gamma'"),
        ({"tversky": {"alpha": "high"}}, {}, r"tversky\.alpha must be a number; got 'high'"),
        ({"tversky": {"alpha": -1.0}}, {}, "alpha of tversky must be 0 or more; got -1.0"),
        ({"tversky": {"alpha": 0.0, "beta": 0.0}}, {}, "no mistake costs anything"),
        ({"focal": {"gamma": -1.0}}, {}, "gamma of focal must be 0 or more; got -1.0"),
        ("ce", {"class_weights": [1.0, 2.0]}, "class_weights has one factor per class: 3 here, got 2"),
        ("ce", {"class_weights": [1.0, -2.0, 1.0]}, "class_weights must be 0 or more, and not all 0"),
        ("ce", {"class_weights": [0.0, 0.0, 0.0]}, "class_weights must be 0 or more, and not all 0"),
        ("dice", {"class_weights": [1.0, 2.0, 3.0]}, "class_weights belongs to the loss ce or focal"),
        ("ce", {"label_smoothing": 1.0}, "label_smoothing must be from 0 to below 1; got 1.0"),
        ("focal", {"label_smoothing": 0.1}, "label_smoothing belongs to the loss ce; name it"),
    ],
)
def test_a_loss_that_cannot_be_is_refused(spec, changes, message):
    with pytest.raises(UserError, match=message):
        of_pixels(spec, *pixels(), **changes)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: classification_loss("dice", 3, IGNORE), "no loss 'dice'.*Allowed: ce, focal, sigmoid_focal, bce"),
        (lambda: multilabel_loss("ce", 3), "no loss 'ce'.*Allowed: bce, balanced_bce, focal, jaccard"),
        (lambda: multilabel_loss({"focal": {"alpha": 2.0}}, 3), "alpha of focal must be from 0 to 1; got 2.0"),
        (lambda: multilabel_loss({"focal": {"gamma": -1.0}}, 3), "gamma of focal must be 0 or more; got -1.0"),
        (lambda: multilabel_loss("bce", 3, [1.0]), "class_weights has one factor per class: 3 here, got 1"),
        (lambda: multilabel_loss("bce", 3, None, [1.0]), "positive_weights has one factor per class: 3 here, got 1"),
        (lambda: multilabel_loss("jaccard", 1, [1.0]),
         "class_weights belongs to the loss bce or balanced_bce or focal"),
        (lambda: multilabel_loss("focal", 1, None, [1.0]), "positive_weights belongs to the loss bce"),
        (lambda: regression_loss("l1", numbers()[2]), "no loss 'l1'.*Allowed: mse, mae, rmse, huber"),
        (lambda: regression_loss({"huber": {"delta": 0.0}}, numbers()[2]), "delta of huber must be above 0.*got 0.0"),
        (lambda: regression_loss("mse", numbers()[2], [1.0]),
         "variable_weights has one factor per variable: 2 here, got 1"),
    ],
)  # fmt: skip
def test_a_loss_of_another_task_that_cannot_be_is_refused(build, message):
    with pytest.raises(UserError, match=message):
        build()


def test_the_callers_containers_stay_as_they_are():
    spec = {"tversky": {"weight": 0.5, "alpha": 0.3}}
    segmentation_loss(spec, 3, IGNORE)
    assert spec == {"tversky": {"weight": 0.5, "alpha": 0.3}}


def test_one_loss_of_weight_one_is_that_loss_itself():
    ready = nn.MSELoss()
    around = Surroundings({}, (torch.zeros(2), torch.zeros(2)), torch.isfinite)
    assert build_loss("ready", {"ready": lambda: ready}, around) is ready
