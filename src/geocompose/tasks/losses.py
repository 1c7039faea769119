"""Losses of semantic segmentation; pixels without label leave them, and a batch of only such pixels costs 0."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.errors import UserError, choices


class CrossEntropyLoss(nn.Module):
    """The mean cross-entropy over labelled pixels, each class weighted by its factor."""

    weight: Tensor | None

    def __init__(
        self, ignore_index: int, class_weights: list[float] | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", None if class_weights is None else torch.tensor(class_weights), persistent=False)

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes, H, W) and labels (B, H, W)."""
        total = F.cross_entropy(
            logits.float(), mask, self.weight, ignore_index=self.ignore_index, reduction="sum",
            label_smoothing=self.label_smoothing,
        )  # fmt: skip
        labelled = mask[mask != self.ignore_index]
        share = self.weight[labelled].sum() if self.weight is not None else labelled.numel()
        return total / max(float(share), 1e-12)


class DiceLoss(nn.Module):
    """One minus the soft Dice coefficient, averaged over the classes that the batch's labels hold.

    Source: arXiv 1606.04797.
    """

    def __init__(self, ignore_index: int) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes, H, W) and labels (B, H, W)."""
        labelled = (mask != self.ignore_index).unsqueeze(1)
        probabilities = logits.float().softmax(dim=1) * labelled
        truth = F.one_hot(mask.clamp(min=0) * labelled.squeeze(1), logits.shape[1]).movedim(-1, 1) * labelled
        both = (probabilities * truth).sum(dim=(0, 2, 3))
        either = probabilities.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
        present = truth.sum(dim=(0, 2, 3)) > 0
        lost = (1 - 2 * both / either.clamp(min=1e-12)) * present
        return lost.sum() / present.sum().clamp(min=1)


class WeightedSum(nn.Module):
    """Several losses, each times its weight."""

    def __init__(self, losses: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.losses = nn.ModuleDict(dict(losses))
        self.weights = dict(weights)

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return a scalar for logits (B, classes, H, W) and labels (B, H, W)."""
        terms = [self.weights[name] * loss(logits, mask) for name, loss in self.losses.items()]
        return torch.stack(terms).sum()


def build_loss(
    spec: str | Mapping[str, float],
    *,
    num_classes: int,
    ignore_index: int,
    class_weights: list[float] | None,
    label_smoothing: float,
) -> nn.Module:
    """Return the loss that `spec` names: `ce`, `dice`, or weights of a sum such as {ce: 0.5, dice: 0.5}.

    Raises:
        UserError: an unknown loss, weights that are not positive, or another number of class weights than classes.
    """
    if class_weights is not None and len(class_weights) != num_classes:
        raise UserError(f"task.class_weights has one factor a class: {num_classes} here, got {len(class_weights)}.")
    if any(not factor >= 0 for factor in class_weights or []) or (class_weights and not sum(class_weights) > 0):
        raise UserError(f"task.class_weights are 0 or more, and not all 0; got {class_weights}.")
    if not 0 <= label_smoothing < 1:
        raise UserError(f"task.label_smoothing is from 0 to below 1; got {label_smoothing}.")
    builders: Mapping[str, Callable[[], nn.Module]] = {
        "ce": lambda: CrossEntropyLoss(ignore_index, class_weights, label_smoothing),
        "dice": lambda: DiceLoss(ignore_index),
    }
    weights = {spec: 1.0} if isinstance(spec, str) else dict(spec)
    for name, weight in weights.items():
        if name not in builders:
            raise UserError(f"task.loss has no loss {name!r}. {choices(name, builders)}")
        if not weight > 0:
            raise UserError(f"task.loss weights are above 0; got {weight} for {name}.")
    if not weights:
        raise UserError("task.loss names no loss; write ce, dice, or weights of both.")
    if "ce" not in weights and class_weights is not None:
        raise UserError("task.class_weights belong to the loss ce; name it in task.loss, or leave the weights null.")
    if "ce" not in weights and label_smoothing:
        raise UserError("task.label_smoothing belongs to the loss ce; name it in task.loss, or leave it 0.")
    losses = {name: builders[name]() for name in weights}
    if isinstance(spec, str):
        return losses[spec]
    return WeightedSum(losses, weights)
