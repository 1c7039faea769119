"""Losses of numbers per pixel or image, in standard deviations of the labels; what has no label leaves them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geocompose.arguments import plain
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.tasks.counting import by_variable, per_variable
from geocompose.tasks.losses import LossSpec, build_loss, check_factors
from geocompose.tasks.own_losses import EXAMPLE_PX, Surroundings


class NumberLoss(nn.Module):
    """A cost of each labelled number, averaged over a variable's labelled places, then over variables by their weights.

    Costs are of the output against (label - mean) / std of the target. A variable without a label in the batch leaves
    the mean, and a batch without any label costs 0.
    """

    weight: Tensor

    def __init__(
        self,
        cost: Callable[[Tensor, Tensor], Tensor],
        target: Target,
        variable_weights: list[float] | None = None,
        *,
        root: bool = False,
    ) -> None:
        """Take the cost of (output, truth), elementwise; root: take the root of each variable's mean cost."""
        super().__init__()
        assert target.mean is not None, "the target's mean and std are known after the data's setup"
        assert target.std is not None
        self.cost, self.target, self.root = cost, target, root
        self.mean, self.std = target.mean, target.std
        weights = variable_weights or [1.0] * target.num_outputs
        self.register_buffer("weight", torch.tensor([float(weight) for weight in weights]), persistent=False)

    def forward(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar for outputs and labels (B, ...) of one variable or (B, variables, ...) of more."""
        output, labels = by_variable(output, self.target).float(), by_variable(labels, self.target)
        valid = ~labels.isnan()
        mean, std = (per_variable(values, labels) for values in (self.mean, self.std))
        truth = torch.where(valid, (labels - mean) / std, 0.0)
        costs = self.cost(torch.where(valid, output, 0.0), truth)
        dims = [dim for dim in range(labels.ndim) if dim != 1]
        count = valid.sum(dim=dims)
        of_variable = costs.sum(dim=dims) / count.clamp(min=1)
        if self.root:
            # At 0 the root has no finite gradient.
            of_variable = of_variable.clamp(min=1e-12).sqrt()
        weights = self.weight * (count > 0)
        return (of_variable * weights).sum() / weights.sum().clamp(min=1e-12)


def regression_losses(
    target: Target, variable_weights: list[float] | None = None
) -> dict[str, Callable[..., nn.Module]]:
    """Return constructors of the losses of numbers, by name; each takes the loss's own arguments."""

    def squared(root: bool = False) -> nn.Module:
        return NumberLoss(lambda y, t: F.mse_loss(y, t, reduction="none"), target, variable_weights, root=root)

    return {
        "mse": lambda: squared(),
        "mae": lambda: NumberLoss(lambda y, t: F.l1_loss(y, t, reduction="none"), target, variable_weights),
        "rmse": lambda: squared(root=True),
        "huber": lambda delta=1.0: _huber(target, variable_weights, delta),
    }


def regression_loss(spec: LossSpec, target: Target, variable_weights: list[float] | None = None) -> nn.Module:
    """Return the loss of numbers: mse, mae, rmse (root of the batch's mean square), huber, or a sum (see `build_loss`).

    All are in units of the target's std. huber's own argument delta is where a square becomes a line.

    Raises:
        UserError: the loss can't be, or a variable is constant in the training split.
    """
    weights = plain(variable_weights)
    check_factors("variable_weights", weights, target.num_outputs, "variable")
    assert target.std is not None, "the target's std is known after the data's setup"
    constant = [name for name, std in zip(target.names, target.std, strict=True) if not 0 < std < float("inf")]
    if constant:
        raise UserError(
            f"The training labels of {', '.join(constant)} do not vary, so they have no unit to be learned in. "
            "Check the data and its split, or set data.normalize_target=none."
        )
    return build_loss(spec, regression_losses(target, weights), _around(target, weights))


def _around(target: Target, weights: list[float] | None) -> Surroundings:
    """Return what a loss of one's own is told of numbers: labels come in units of their deviation, as outputs do."""
    assert target.mean is not None, "the target's mean and std are known after the data's setup"
    assert target.std is not None
    of_labels = target.mean, target.std

    def prepared(output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        labels = by_variable(labels, target)
        mean, std = (per_variable(values, labels) for values in of_labels)
        return by_variable(output, target).float(), ((labels - mean) / std).float()

    place = (EXAMPLE_PX, EXAMPLE_PX) if target.pixel_wise else ()
    variables = (target.num_outputs,) if target.num_outputs > 1 else ()  # one comes without an axis
    output = torch.linspace(-1, 1, 2 * target.num_outputs * EXAMPLE_PX ** len(place)).reshape(2, *variables, *place)
    labels = torch.zeros_like(output)
    labels.view(-1)[0] = float("nan")
    known = {"num_outputs": target.num_outputs} | ({} if weights is None else {"variable_weights": weights})
    return Surroundings(known, (output, labels), lambda truth: ~truth.isnan(), prepared)


def _huber(target: Target, weights: list[float] | None, delta: float) -> nn.Module:
    if not delta > 0:
        raise UserError(
            f"task.loss: delta of huber must be above 0, in standard deviations of the labels; got {delta}."
        )
    return NumberLoss(lambda y, t: F.huber_loss(y, t, reduction="none", delta=delta), target, weights)
