"""Losses of one class per pixel or image; what has no label leaves them, and a batch without any label costs 0."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.arguments import plain
from geocompose.errors import UserError
from geocompose.tasks.losses import LossSpec, build_loss, check_belongs, check_factors
from geocompose.tasks.own_losses import EXAMPLE_PX, Surroundings


class CrossEntropyLoss(nn.Module):
    """The mean cross-entropy over labelled places, each class weighted by its factor."""

    weight: Tensor | None

    def __init__(
        self, ignore_index: int, class_weights: list[float] | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", _as_floats(class_weights), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes, ...) and labels (B, ...)."""
        total = F.cross_entropy(
            logits.float(), labels, self.weight, ignore_index=self.ignore_index, reduction="sum",
            label_smoothing=self.label_smoothing,
        )  # fmt: skip
        return total / _weight_of(labels, self.ignore_index, self.weight)


class FocalLoss(nn.Module):
    """Cross-entropy in which a place counts by (1 - p)^gamma, p being the probability of its true class.

    The mean over labelled places, each class weighted by its factor. gamma 0 is cross-entropy.
    Source: arXiv 1708.02002, for several classes by softmax.
    """

    weight: Tensor | None

    def __init__(self, ignore_index: int, class_weights: list[float] | None = None, gamma: float = 2.0) -> None:
        super().__init__()
        if not gamma >= 0:
            raise UserError(f"task.loss: gamma of focal must be 0 or more; got {gamma}.")
        self.ignore_index = ignore_index
        self.gamma = gamma
        self.register_buffer("weight", _as_floats(class_weights), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes, ...) and labels (B, ...)."""
        # -(1 - p)^gamma * log p of the true class (equation 4). In float32: half precision rounds small p to 0.
        log_p = logits.float().log_softmax(dim=1)
        costs = F.nll_loss(log_p, labels, self.weight, ignore_index=self.ignore_index, reduction="none")
        # `gather` takes no index outside 0 to classes - 1; nll_loss has given ignored places a cost of 0.
        known = labels.masked_fill(labels == self.ignore_index, 0)
        missed = 1 - log_p.gather(1, known.unsqueeze(1)).squeeze(1).exp()
        # The derivative of x^gamma is unbounded at 0 for gamma below 1; 1e-7 is float32's resolution at 1.
        total = (missed.clamp(min=1e-7) ** self.gamma * costs).sum()
        return total / _weight_of(labels, self.ignore_index, self.weight)


class SigmoidFocalLoss(nn.Module):
    """The focal loss of each class against all others, by smp, as TerraTorch's `focal` is: the mean over the classes.

    A place counts by (1 - p)^gamma, p being the sigmoid's probability of what is true of the class there. The mean over
    labelled places is divided by the sum of these factors, so that the loss becomes small where places are many.
    Source: arXiv 1708.02002; `segmentation_models_pytorch.losses.FocalLoss(normalized=True)`.
    """

    def __init__(self, ignore_index: int, gamma: float = 2.0) -> None:
        super().__init__()
        if not gamma >= 0:
            raise UserError(f"task.loss: gamma of sigmoid_focal must be 0 or more; got {gamma}.")
        from segmentation_models_pytorch.losses import FocalLoss as SmpFocalLoss  # takes a second to import

        self.ignore_index = ignore_index
        self.loss = SmpFocalLoss("multiclass", ignore_index=ignore_index, gamma=gamma, normalized=True)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes, ...) and labels (B, ...)."""
        if bool((labels == self.ignore_index).all()):
            return logits.float().sum() * 0
        return self.loss(logits.float(), labels)


class OneVersusRestLoss(nn.Module):
    """Binary cross-entropy of each class against all others, averaged over labelled places and classes."""

    def __init__(self, ignore_index: int) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes, ...) and labels (B, ...)."""
        truth, labelled = one_hot(labels, logits.shape[1], self.ignore_index)
        costs = F.binary_cross_entropy_with_logits(logits.float(), truth.float(), reduction="none") * labelled
        return costs.sum() / (labelled.sum() * logits.shape[1]).clamp(min=1)


class OverlapLoss(nn.Module):
    """One minus a soft overlap of prediction and truth, averaged over the classes that the batch's labels hold.

    The overlap is hits / (hits + alpha * false alarms + beta * misses), summed over the batch's labelled places.
    alpha = beta = 0.5 is the Dice coefficient (arXiv 1606.04797), alpha = beta = 1 the Jaccard index (IoU); others are
    the Tversky index, of which alpha 0.3 and beta 0.7 favour recall. Source: arXiv 1706.05721.
    """

    def __init__(self, ignore_index: int, alpha: float, beta: float) -> None:
        super().__init__()
        for name, value in (("alpha", alpha), ("beta", beta)):
            if not value >= 0:
                raise UserError(f"task.loss: {name} of tversky must be 0 or more; got {value}.")
        if not alpha + beta > 0:
            raise UserError("task.loss: alpha and beta of tversky are both 0, so that no mistake costs anything.")
        self.ignore_index = ignore_index
        self.alpha, self.beta = alpha, beta

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes, ...) and labels (B, ...)."""
        truth, labelled = one_hot(labels, logits.shape[1], self.ignore_index)
        # Probabilities of unlabelled places become 0, so that they are not false alarms.
        return overlap_cost(logits.float().softmax(dim=1) * labelled, truth, self.alpha, self.beta)


class LovaszLoss(nn.Module):
    """The Lovasz extension of the Jaccard index, averaged over the classes that the batch's labels hold, by smp.

    The Jaccard loss of a class is a function of the set of its mispredicted places. Its Lovasz extension makes it one
    of their errors |truth - probability|: sorted from the largest, each error times how much the Jaccard loss grows
    when its place joins the set. For hard predictions it is one minus the IoU. Source: arXiv 1705.08790.
    """

    def __init__(self, ignore_index: int) -> None:
        super().__init__()
        from segmentation_models_pytorch.losses import LovaszLoss as SmpLovaszLoss  # takes a second to import

        self.ignore_index = ignore_index
        self.loss = SmpLovaszLoss("multiclass", ignore_index=ignore_index)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes, H, W) and labels (B, H, W)."""
        # smp returns no scalar without a label, and raises for a single class, whose probability is 1 everywhere.
        if logits.shape[1] == 1 or bool((labels == self.ignore_index).all()):
            return logits.float().sum() * 0
        return self.loss(logits.float(), labels)


def one_hot(labels: Tensor, num_classes: int, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Return labels (B, ...) as (B, classes, ...) of 0 and 1, all 0 without a label, and where one is (B, 1, ...)."""
    labelled = labels != ignore_index
    truth = F.one_hot(labels.masked_fill(~labelled, 0), num_classes).movedim(-1, 1)
    return truth * labelled.unsqueeze(1), labelled.unsqueeze(1)


def overlap_cost(probabilities: Tensor, truth: Tensor, alpha: float, beta: float) -> Tensor:
    """Return one minus the soft Tversky index of (B, classes, ...), averaged over the classes in the truth, else 0."""
    dims = [dim for dim in range(truth.ndim) if dim != 1]
    # T = hits / (hits + alpha * false alarms + beta * misses), each a sum of probabilities (arXiv 1706.05721, eq. 3).
    hits = (probabilities * truth).sum(dim=dims)
    alarms, misses = probabilities.sum(dim=dims) - hits, truth.sum(dim=dims) - hits
    present = truth.sum(dim=dims) > 0
    # A class without truth has no hits whatever is predicted: its constant cost would teach nothing, and is left out.
    lost = (1 - hits / (hits + alpha * alarms + beta * misses).clamp(min=1e-12)) * present
    return lost.sum() / present.sum().clamp(min=1)


def segmentation_losses(
    ignore_index: int, class_weights: list[float] | None = None, label_smoothing: float = 0.0
) -> dict[str, Callable[..., nn.Module]]:
    """Return constructors of the losses of one class per pixel, by name; each takes the loss's own arguments."""
    return {
        **_of_probabilities(ignore_index, class_weights, label_smoothing),
        "dice": lambda: OverlapLoss(ignore_index, 0.5, 0.5),
        "jaccard": lambda: OverlapLoss(ignore_index, 1.0, 1.0),
        "lovasz": lambda: LovaszLoss(ignore_index),
        "tversky": lambda alpha=0.3, beta=0.7: OverlapLoss(ignore_index, alpha, beta),
    }


def classification_losses(
    ignore_index: int, class_weights: list[float] | None = None, label_smoothing: float = 0.0
) -> dict[str, Callable[..., nn.Module]]:
    """Return constructors of the losses of one class per image, by name; each takes the loss's own arguments."""
    return {
        **_of_probabilities(ignore_index, class_weights, label_smoothing),
        "bce": lambda: OneVersusRestLoss(ignore_index),
        "jaccard": lambda: OverlapLoss(ignore_index, 1.0, 1.0),
    }


def _of_probabilities(
    ignore_index: int, class_weights: list[float] | None, label_smoothing: float
) -> dict[str, Callable[..., nn.Module]]:
    return {
        "ce": lambda: CrossEntropyLoss(ignore_index, class_weights, label_smoothing),
        "focal": lambda gamma=2.0: FocalLoss(ignore_index, class_weights, gamma),
        "sigmoid_focal": lambda gamma=2.0: SigmoidFocalLoss(ignore_index, gamma),
    }


def segmentation_loss(
    spec: LossSpec,
    num_classes: int,
    ignore_index: int,
    class_weights: list[float] | None = None,
    label_smoothing: float = 0.0,
) -> nn.Module:
    """Return the loss of one class per pixel: ce, dice, focal, sigmoid_focal, jaccard, lovasz, tversky, or a sum.

    See `build_loss` for what `spec` may be.

    Raises:
        UserError: the loss can't be, or has no use for the weights or the smoothing.
    """
    return _build(spec, segmentation_losses, num_classes, ignore_index, class_weights, label_smoothing)


def classification_loss(
    spec: LossSpec,
    num_classes: int,
    ignore_index: int,
    class_weights: list[float] | None = None,
    label_smoothing: float = 0.0,
) -> nn.Module:
    """Return the loss of one class per image: ce, focal, sigmoid_focal, bce, jaccard, or a sum.

    sigmoid_focal and bce are of each class against the rest; jaccard is of the batch's images together, as that of
    pixels is of its pixels.

    See `build_loss` for what `spec` may be.

    Raises:
        UserError: the loss can't be, or has no use for the weights or the smoothing.
    """
    return _build(spec, classification_losses, num_classes, ignore_index, class_weights, label_smoothing)


def _build(
    spec: LossSpec,
    losses: Callable[[int, list[float] | None, float], Mapping[str, Callable[..., nn.Module]]],
    num_classes: int,
    ignore_index: int,
    class_weights: list[float] | None,
    label_smoothing: float,
) -> nn.Module:
    weights = plain(class_weights)
    check_factors("class_weights", weights, num_classes, "class")
    if not 0 <= label_smoothing < 1:
        raise UserError(f"task.label_smoothing must be from 0 to below 1; got {label_smoothing}.")
    around = _around(num_classes, ignore_index, weights, label_smoothing, pixel_wise=losses is segmentation_losses)
    built = build_loss(spec, losses(ignore_index, weights, label_smoothing), around)
    check_belongs("class_weights", weights is not None, spec, ["ce", "focal"])
    check_belongs("label_smoothing", bool(label_smoothing), spec, ["ce"])
    return built


def _around(
    num_classes: int, ignore_index: int, weights: list[float] | None, label_smoothing: float, *, pixel_wise: bool
) -> Surroundings:
    """Return what a loss of one's own is told of classes."""
    place = (EXAMPLE_PX, EXAMPLE_PX) if pixel_wise else ()
    logits = torch.linspace(-1, 1, 2 * num_classes * EXAMPLE_PX ** len(place)).reshape(2, num_classes, *place)
    labels = torch.zeros(2, *place, dtype=torch.int64)
    labels.view(-1)[0] = ignore_index
    known: dict[str, object] = {"ignore_index": ignore_index, "num_classes": num_classes}
    known |= {"class_weights": weights} if weights is not None else {}
    known |= {"label_smoothing": label_smoothing} if label_smoothing else {}
    return Surroundings(known, (logits, labels), lambda truth: truth != ignore_index)


def _as_floats(weights: list[float] | None) -> Tensor | None:
    # Whole numbers would make a tensor that no loss takes.
    return None if weights is None else torch.tensor(weights, dtype=torch.float32)


def _weight_of(labels: Tensor, ignore_index: int, weight: Tensor | None) -> Tensor:
    """Return the sum of the classes' factors over labelled places, or their number, and never 0."""
    labelled = labels != ignore_index
    total = labelled.sum().float() if weight is None else weight[labels[labelled]].sum()
    return total.to(labels.device).clamp(min=1e-12)
