"""Tasks whose labels are numbers in a physical unit."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from geocompose.imagery.samples import Target
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.scores import has_normalized_error
from geocompose.tasks.base import Task
from geocompose.tasks.number_losses import regression_loss


class NumberTask(Task):
    """Trains a model on numbers, NaN without a label, and scores it by sums over a split, in the physical unit.

    The model's output is in standard deviations of the training labels from their mean, as the target has them. Several
    variables are selected by val/nRMSE: a mean of RMSEs in different units would follow that with the largest numbers.
    """

    selection: tuple[str, str] = ("val/RMSE", "min")

    def __init__(
        self,
        model: EncoderDecoderModel,
        optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        scheduler: Callable[..., Any],
        target: Target,
        num_tiles: dict[str, int],
        loss: str | list[str] | dict[str, float | dict[str, Any]] = "mse",
        variable_weights: list[float] | None = None,
        aux_loss: dict[str, float] | None = None,
        lr_by_part: dict[str, float] | None = None,
        freeze_backbone: bool = False,
        freeze_decoder: bool = False,
        freeze_head: bool = False,
        layer_decay: float | None = None,
    ) -> None:
        """Take what every task takes (see `Task`) and the loss.

        loss: mse, mae, rmse or huber, or a sum (see `build_loss`). variable_weights: a factor per variable.

        Raises:
            UserError: a loss that can't be, or what `Task` refuses.
        """

        def criterion() -> nn.Module:
            return regression_loss(loss, target, variable_weights)

        super().__init__(
            model, optimizer, scheduler, target, num_tiles, criterion, aux_loss, lr_by_part,
            freeze_backbone, freeze_decoder, freeze_head, layer_decay,
        )  # fmt: skip
        if has_normalized_error(target):
            self.selection = ("val/nRMSE", "min")
