"""Every loss against its definition, written out in numpy; unlabelled places, empty batches, one class."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.tasks.class_losses import classification_loss, segmentation_loss
from geocompose.tasks.label_losses import multilabel_loss
from geocompose.tasks.losses import build_loss
from geocompose.tasks.number_losses import regression_loss

IGNORE = -1
SEGMENTATION = ("ce", "dice", "focal", "jaccard", "lovasz", "tversky")
CLASSIFICATION = ("ce", "focal", "bce")
MULTILABEL = ("bce", "balanced_bce", "focal", "jaccard")
REGRESSION = ("mse", "mae", "rmse", "huber")


def pixels(classes: int = 3) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    mask = torch.randint(0, classes, (2, 4, 5), generator=draw)
    mask[0, :2] = IGNORE
    return torch.randn(2, classes, 4, 5, generator=draw), mask


def images(classes: int = 3) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    label = torch.randint(0, classes, (7,), generator=draw)
    label[2] = IGNORE
    return torch.randn(7, classes, generator=draw), label


def decisions(classes: int = 3) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(2)
    label = torch.randint(0, 2, (6, classes), generator=draw)
    label[0, 0] = label[3] = -1
    return torch.randn(6, classes, generator=draw), label


def numbers(variables: int = 2) -> tuple[Tensor, Tensor, Target]:
    draw = torch.Generator().manual_seed(3)
    names = ("a", "b", "c")[:variables]
    target = Target("regression", names, mean=(100.0, -2.0, 0.0)[:variables], std=(20.0, 0.5, 3.0)[:variables])
    output = torch.randn(3, variables, 4, 5, generator=draw)
    label = torch.randn(3, variables, 4, 5, generator=draw) * 7 + 3
    label[0, 0, 1:] = float("nan")
    label[1] = float("nan")
    return (output, label, target) if variables > 1 else (output.squeeze(1), label.squeeze(1), target)


def of_pixels(spec: Any, logits: Tensor, mask: Tensor, ignore_index: int = IGNORE, **more: Any) -> Tensor:
    return segmentation_loss(spec, logits.shape[1], ignore_index, **more)(logits, mask)


def of_images(spec: Any, logits: Tensor, label: Tensor, **more: Any) -> Tensor:
    return classification_loss(spec, logits.shape[1], IGNORE, **more)(logits, label)


def of_decisions(spec: Any, logits: Tensor, label: Tensor, **more: Any) -> Tensor:
    return multilabel_loss(spec, logits.shape[1], **more)(logits, label)


def flat(logits: Tensor, mask: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return softmax probabilities (n, classes) and labels (n) of the labelled places, in numpy."""
    rows = logits.movedim(1, -1).reshape(-1, logits.shape[1]).double().numpy()
    known = mask.ravel().numpy() != IGNORE
    exp = np.exp(rows[known] - rows[known].max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True), mask.ravel().numpy()[known]


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


# Classes


def test_cross_entropy_is_the_mean_over_labelled_pixels():
    logits = torch.tensor([[[[0.0, 0.0, 9.0]], [[0.0, float(np.log(3)), 9.0]]]])
    mask = torch.tensor([[[0, 1, IGNORE]]])
    expected = (-np.log(1 / 2) - np.log(3 / 4)) / 2
    assert of_pixels("ce", logits, mask).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["ce", "focal"])
def test_class_weights_may_be_whole_numbers(name):
    logits, mask = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    whole, real = (of_pixels(name, logits, mask, class_weights=weights) for weights in ([1, 2, 3], [1.0, 2.0, 3.0]))
    torch.testing.assert_close(whole, real)


def test_class_weights_weigh_pixels_by_their_class():
    logits = torch.tensor([[[[0.0, 0.0]], [[0.0, float(np.log(3))]]]])
    mask = torch.tensor([[[0, 1]]])
    expected = (3 * -np.log(1 / 2) + 1 * -np.log(3 / 4)) / (3 + 1)
    assert of_pixels("ce", logits, mask, class_weights=[3.0, 1.0]).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("example", "loss"), [(pixels, of_pixels), (images, of_images)])
def test_cross_entropy_is_torchs_own_mean(example, loss, weights, smoothing):
    logits, label = example()
    factors = None if weights is None else torch.tensor(weights)
    expected = F.cross_entropy(logits, label, factors, ignore_index=IGNORE, label_smoothing=smoothing)
    torch.testing.assert_close(loss("ce", logits, label, class_weights=weights, label_smoothing=smoothing), expected)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(("example", "loss"), [(pixels, of_pixels), (images, of_images)])
def test_focal_is_cross_entropy_by_what_the_true_class_lacks(example, loss, weights, gamma):
    logits, label = example()
    p, truth = flat(logits, label)
    right = p[np.arange(len(truth)), truth]
    factors = np.array(weights or [1.0] * 3)[truth]
    expected = (factors * (1 - right) ** gamma * -np.log(right)).sum() / factors.sum()
    assert loss({"focal": {"gamma": gamma}}, logits, label, class_weights=weights).item() == pytest.approx(
        expected, rel=1e-5
    )


def test_focal_of_gamma_zero_is_cross_entropy_and_its_default_is_two():
    logits, mask = pixels()
    torch.testing.assert_close(of_pixels({"focal": {"gamma": 0.0}}, logits, mask), of_pixels("ce", logits, mask))
    assert torch.equal(of_pixels("focal", logits, mask), of_pixels({"focal": {"gamma": 2.0}}, logits, mask))


def test_focal_has_finite_gradients_where_all_is_right_already():
    logits = torch.tensor([[[[200.0]], [[-200.0]]]], requires_grad=True)
    of_pixels({"focal": {"gamma": 0.5}}, logits, torch.tensor([[[0]]])).backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("spec", "alpha", "beta"),
    [
        ("dice", 0.5, 0.5),
        ("jaccard", 1.0, 1.0),
        ("tversky", 0.3, 0.7),
        ({"tversky": {"alpha": 0.9, "beta": 0.2}}, 0.9, 0.2),
    ],
)
def test_overlaps_are_their_definition_over_the_classes_that_labels_hold(spec, alpha, beta):
    logits, mask = pixels(4)
    mask[mask == 3] = 1  # a class that is predicted but not labelled
    p, truth = flat(logits, mask)
    indices = []
    for c in range(3):
        hits = p[truth == c, c].sum()
        alarms, misses = p[truth != c, c].sum(), (1 - p[truth == c, c]).sum()
        indices.append(hits / (hits + alpha * alarms + beta * misses))
    assert of_pixels(spec, logits, mask).item() == pytest.approx(1 - np.mean(indices), rel=1e-5)


def test_lovasz_is_the_lovasz_extension_of_each_present_class():
    logits, mask = pixels(4)
    mask[mask == 3] = 1
    p, truth = flat(logits, mask)
    costs = []
    for c in range(3):
        foreground = (truth == c).astype(float)
        errors = np.abs(foreground - p[:, c])
        order = np.argsort(-errors)
        hits = foreground.sum() - np.cumsum(foreground[order])
        unions = foreground.sum() + np.cumsum(1 - foreground[order])
        jaccard = 1 - hits / unions
        steps = np.diff(np.concatenate([[0], jaccard]))
        costs.append((errors[order] * steps).sum())
    assert of_pixels("lovasz", logits, mask).item() == pytest.approx(np.mean(costs), rel=1e-5)


def test_lovasz_of_hard_predictions_is_one_minus_the_iou():
    mask = torch.tensor([[[0, 0, 1, 1, 1]]])
    said = torch.tensor([[[0, 1, 1, 1, 0]]])
    logits = 1e4 * F.one_hot(said, 2).movedim(-1, 1).float()
    expected = 1 - (1 / 3 + 2 / 4) / 2
    assert of_pixels("lovasz", logits, mask).item() == pytest.approx(expected, rel=1e-5)
    assert of_pixels("jaccard", logits, mask).item() == pytest.approx(expected, rel=1e-5)


def test_bce_of_one_class_an_image_sets_each_class_against_the_rest():
    logits, label = images()
    known = label.numpy() != IGNORE
    p = sigmoid(logits.double().numpy()[known])
    truth = np.eye(3)[label.numpy()[known]]
    expected = -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean()
    assert of_images("bce", logits, label).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("spec", SEGMENTATION)
def test_unlabelled_pixels_leave_a_loss(spec):
    logits, mask = pixels()
    other = logits.clone()
    other[(mask == IGNORE).unsqueeze(1).expand_as(other)] += 5 * torch.randn(int((mask == IGNORE).sum()) * 3)
    assert torch.equal(of_pixels(spec, logits, mask), of_pixels(spec, other, mask))


@pytest.mark.parametrize("spec", SEGMENTATION)
def test_any_ignore_index_gives_the_same_loss(spec):
    logits, mask = pixels()
    other = mask.masked_fill(mask == IGNORE, 255)
    assert torch.equal(of_pixels(spec, logits, mask), of_pixels(spec, logits, other, ignore_index=255))


@pytest.mark.parametrize("spec", [*SEGMENTATION, {"focal": 0.5, "lovasz": 0.5}])
def test_a_loss_is_nothing_where_all_is_right(spec):
    mask = torch.tensor([[[0, 2], [1, IGNORE]]])
    logits = 1e4 * F.one_hot(mask.clamp(min=0), 3).movedim(-1, 1).float()
    assert of_pixels(spec, logits, mask).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("spec", SEGMENTATION)
def test_a_single_class_costs_nothing_and_teaches_nothing(spec):
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    mask = torch.zeros(2, 4, 4, dtype=torch.long)
    mask[0] = IGNORE
    loss = of_pixels(spec, logits, mask)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("ignore", [-1, 255, 2])
@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        *((spec, {}) for spec in [*SEGMENTATION, {"ce": 1.0, "dice": 1.0}]),
        *((spec, {"class_weights": [1.0, 2.0, 3.0]}) for spec in ("ce", "focal")),
        ("ce", {"label_smoothing": 0.1}),
    ],
)
def test_a_batch_without_any_label_costs_nothing_and_teaches_nothing(spec, changes, ignore):
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = of_pixels(spec, logits, torch.full((2, 4, 4), ignore), ignore_index=ignore, **changes)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


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
        ({"ce": 0.5, "bce": 0.5}, {}, "no loss 'bce'.*Allowed: ce, focal, dice, jaccard, lovasz, tversky"),
        ({"ce": -1.0}, {}, "weights are above 0; got -1.0 for ce"),
        ({"ce": float("nan")}, {}, "weights are above 0; got nan for ce"),
        ({"ce": float("inf")}, {}, "weights are above 0; got inf for ce"),
        ({}, {}, "task.loss names no loss. Allowed: ce"),
        ([], {}, "task.loss names no loss"),
        (["ce", "ce"], {}, "names ce twice; give it a weight instead: {ce: 2}"),
        ({"ce": "much"}, {}, r"task\.loss\.ce\.weight is a number; got 'much'"),
        ({"tversky": {"alfa": 1.0}}, {}, "tversky has no argument 'alfa'. Did you mean 'alpha'.*weight, alpha, beta"),
        ({"ce": {"gamma": 1.0}}, {}, "ce has no argument 'gamma'"),
        ({"tversky": {"alpha": "high"}}, {}, r"tversky\.alpha is a number; got 'high'"),
        ({"tversky": {"alpha": -1.0}}, {}, "alpha of tversky is 0 or more; got -1.0"),
        ({"tversky": {"alpha": 0.0, "beta": 0.0}}, {}, "no mistake costs anything"),
        ({"focal": {"gamma": -1.0}}, {}, "gamma of focal is 0 or more; got -1.0"),
        ("ce", {"class_weights": [1.0, 2.0]}, "class_weights has one factor a class: 3 here, got 2"),
        ("ce", {"class_weights": [1.0, -2.0, 1.0]}, "class_weights are 0 or more, and not all 0"),
        ("ce", {"class_weights": [0.0, 0.0, 0.0]}, "class_weights are 0 or more, and not all 0"),
        ("dice", {"class_weights": [1.0, 2.0, 3.0]}, "class_weights belongs to the loss ce or focal"),
        ("ce", {"label_smoothing": 1.0}, "label_smoothing is from 0 to below 1; got 1.0"),
        ("focal", {"label_smoothing": 0.1}, "label_smoothing belongs to the loss ce; name it"),
    ],
)
def test_a_loss_that_cannot_be_is_refused(spec, changes, message):
    with pytest.raises(UserError, match=message):
        of_pixels(spec, *pixels(), **changes)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: classification_loss("dice", 3, IGNORE), "no loss 'dice'.*Allowed: ce, focal, bce"),
        (lambda: multilabel_loss("ce", 3), "no loss 'ce'.*Allowed: bce, balanced_bce, focal, jaccard"),
        (lambda: multilabel_loss({"focal": {"alpha": 2.0}}, 3), "alpha of focal is from 0 to 1; got 2.0"),
        (lambda: multilabel_loss({"focal": {"gamma": -1.0}}, 3), "gamma of focal is 0 or more; got -1.0"),
        (lambda: multilabel_loss("bce", 3, [1.0]), "class_weights has one factor a class: 3 here, got 1"),
        (lambda: multilabel_loss("bce", 3, None, [1.0]), "positive_weights has one factor a class: 3 here, got 1"),
        (lambda: multilabel_loss("jaccard", 1, [1.0]), "class_weights belongs to the loss bce or balanced_bce or focal"),
        (lambda: multilabel_loss("focal", 1, None, [1.0]), "positive_weights belongs to the loss bce"),
        (lambda: regression_loss("l1", numbers()[2]), "no loss 'l1'.*Allowed: mse, mae, rmse, huber"),
        (lambda: regression_loss({"huber": {"delta": 0.0}}, numbers()[2]), "delta of huber is above 0.*got 0.0"),
        (lambda: regression_loss("mse", numbers()[2], [1.0]), "variable_weights has one factor a variable: 2 here, got 1"),
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
    assert build_loss("own", {"own": lambda: ready}) is ready
