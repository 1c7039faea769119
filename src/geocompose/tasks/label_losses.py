"""Losses of any number of classes per image; unknown labels leave them, and a batch without a known one costs 0."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.arguments import plain
from geocompose.errors import UserError
from geocompose.tasks.class_losses import overlap_cost
from geocompose.tasks.losses import LossSpec, build_loss, check_belongs, check_factors
from geocompose.tasks.own_losses import Surroundings


class DecisionLoss(nn.Module):
    """Binary cross-entropy of the decisions for and against each class, averaged over the known ones.

    class_weights: how much a class's decisions count. positive_weights: how much more a class's yes counts than its no.
    gamma: focal exponent, by which a decision counts as (1 - p)^gamma, p being the probability of the right one.
    alpha: share of the focal loss's weight that a yes has; None weighs yes and no alike.
    Source: arXiv 1708.02002 for gamma and alpha.
    """

    weight: Tensor
    positive: Tensor | None

    def __init__(
        self,
        class_weights: list[float],
        positive_weights: list[float] | None = None,
        gamma: float = 0.0,
        alpha: float | None = None,
    ) -> None:
        super().__init__()
        if not gamma >= 0:
            raise UserError(f"task.loss: gamma of focal must be 0 or more; got {gamma}.")
        if alpha is not None and not 0 <= alpha <= 1:
            raise UserError(f"task.loss: alpha of focal must be from 0 to 1; got {alpha}.")
        self.gamma, self.alpha = gamma, alpha
        self.register_buffer("weight", torch.tensor(class_weights), persistent=False)
        positive = None if positive_weights is None else torch.tensor(positive_weights)
        self.register_buffer("positive", positive, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes) and labels of 0, 1 and below 0 (unknown), (B, classes)."""
        truth = labels.clamp(min=0).float()
        logits = logits.float()
        weights = (labels >= 0) * self.weight
        costs = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=self.positive, reduction="none")
        if self.gamma:
            # 1 - p of the right answer: sigmoid(-logit) for a yes, sigmoid(logit) for a no; exact for large logits too.
            missed = torch.where(truth > 0, -logits, logits).sigmoid()
            # The derivative of x^gamma is unbounded at 0 for gamma below 1.
            costs = missed.clamp(min=1e-7) ** self.gamma * costs
        if self.alpha is not None:
            costs = torch.where(truth > 0, self.alpha, 1 - self.alpha) * costs
        return (costs * weights).sum() / weights.sum().clamp(min=1e-12)


class BalancedDecisionLoss(nn.Module):
    """Binary cross-entropy in which all yes together weigh as much as all no: the mean of their two means."""

    weight: Tensor

    def __init__(self, class_weights: list[float]) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes) and labels of 0, 1 and below 0 (unknown), (B, classes)."""
        truth = labels.clamp(min=0).float()
        costs = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
        weights = torch.stack([(labels == answer) * self.weight for answer in (0, 1)])
        each = (costs * weights).sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp(min=1e-12)
        given = (weights.sum(dim=(1, 2)) > 0).float()
        return (each * given).sum() / given.sum().clamp(min=1)


class LabelOverlapLoss(nn.Module):
    """One minus the soft Jaccard index of each class over the batch, averaged over the classes that its labels hold."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes) and labels of 0, 1 and below 0 (unknown), (B, classes)."""
        known = labels >= 0
        return overlap_cost(logits.float().sigmoid() * known, labels.clamp(min=0), 1.0, 1.0)


def multilabel_losses(
    class_weights: list[float], positive_weights: list[float] | None = None
) -> dict[str, Callable[..., nn.Module]]:
    """Return constructors of the losses by name; each takes the loss's own arguments."""
    return {
        "bce": lambda: DecisionLoss(class_weights, positive_weights),
        "balanced_bce": lambda: BalancedDecisionLoss(class_weights),
        "focal": lambda gamma=2.0, alpha=None: DecisionLoss(class_weights, None, gamma, alpha),
        "jaccard": lambda: LabelOverlapLoss(),
    }


def multilabel_loss(
    spec: LossSpec,
    num_classes: int,
    class_weights: list[float] | str | None = None,
    positive_weights: list[float] | str | None = None,
) -> nn.Module:
    """Return the loss of any number of classes per image: bce, balanced_bce, focal, jaccard, or a sum.

    See `build_loss` for what `spec` may be.

    Raises:
        UserError: the loss can't be, or has no use for the weights.
    """
    weights, positive = plain(class_weights), plain(positive_weights)
    check_factors("class_weights", weights, num_classes, "class")
    check_factors("positive_weights", positive, num_classes, "class")
    factors = [float(weight) for weight in weights or [1.0] * num_classes]
    labels = torch.zeros(2, num_classes)
    labels[0, 0] = -1
    known = {"num_classes": num_classes, "class_weights": weights, "positive_weights": positive}
    around = Surroundings(
        {key: value for key, value in known.items() if value is not None},
        (torch.linspace(-1, 1, 2 * num_classes).reshape(2, num_classes), labels),
        lambda truth: truth >= 0,
    )
    built = build_loss(spec, multilabel_losses(factors, positive), around)
    check_belongs("class_weights", weights is not None, spec, ["bce", "balanced_bce", "focal"])
    check_belongs("positive_weights", positive is not None, spec, ["bce"])
    return built
