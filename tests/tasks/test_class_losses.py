"""Losses of one class per pixel or image, against their definitions."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from geocompose.tasks.class_losses import classification_loss
from tests.kit.losses import IGNORE, SEGMENTATION, of_pixels, pixels, sigmoid


def images(classes: int = 3) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    label = torch.randint(0, classes, (7,), generator=draw)
    label[2] = IGNORE
    return torch.randn(7, classes, generator=draw), label


def of_images(spec: Any, logits: Tensor, label: Tensor, **more: Any) -> Tensor:
    return classification_loss(spec, logits.shape[1], IGNORE, **more)(logits, label)


def flat(logits: Tensor, mask: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return softmax probabilities (n, classes) and labels (n) of the labelled places, in numpy."""
    rows = logits.movedim(1, -1).reshape(-1, logits.shape[1]).double().numpy()
    known = mask.ravel().numpy() != IGNORE
    exp = np.exp(rows[known] - rows[known].max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True), mask.ravel().numpy()[known]


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


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize(("example", "loss"), [(pixels, of_pixels), (images, of_images)])
def test_sigmoid_focal_is_of_each_class_against_the_rest_over_its_own_factors(example, loss, gamma):
    logits, label = example()
    known = (label != IGNORE).numpy()
    scores, truth = logits.movedim(1, -1).numpy()[known], label.numpy()[known]
    expected = 0.0
    for c in range(3):
        right = sigmoid(np.where(truth == c, scores[:, c], -scores[:, c]))
        factors = (1 - right) ** gamma
        expected += (factors * -np.log(right)).mean() / factors.sum() / 3
    assert loss({"sigmoid_focal": {"gamma": gamma}}, logits, label).item() == pytest.approx(expected, rel=1e-5)


def test_of_pixels_without_label_sigmoid_focal_learns_nothing():
    logits, mask = pixels()
    logits.requires_grad_()
    of_pixels("sigmoid_focal", logits, mask).backward()
    assert not logits.grad.movedim(1, -1)[mask == IGNORE].any()
    assert of_pixels("sigmoid_focal", logits, torch.full_like(mask, IGNORE)).item() == 0


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


def test_jaccard_of_one_class_an_image_is_one_minus_the_soft_iou_of_the_batch():
    logits, _ = images(4)
    label = torch.tensor([0, 1, IGNORE, 2, 1, 0, 1])  # the last class is predicted but not labelled
    known = label != IGNORE
    p, truth = logits[known].double().softmax(dim=1).numpy(), label[known].numpy()
    ious = []
    for c in range(3):
        hits = p[truth == c, c].sum()
        ious.append(hits / (p[:, c].sum() + (truth == c).sum() - hits))
    got = of_images("jaccard", logits, label)
    assert got.item() == pytest.approx(1 - np.mean(ious), rel=1e-5)
    other = logits.clone()
    other[~known] += 5
    assert torch.equal(of_images("jaccard", other, label), got)
    smp = pytest.importorskip("segmentation_models_pytorch").losses.JaccardLoss("multiclass", classes=[0, 1, 2])
    assert got.item() == pytest.approx(smp(logits[known], label[known]).item(), rel=1e-5)
    assert of_images("jaccard", logits, torch.full_like(label, IGNORE)).item() == 0


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
