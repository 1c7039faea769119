"""Tasks whose labels are classes that exclude each other."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from geocompose.errors import UserError, choices
from geocompose.imagery.samples import Target
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.scores import better
from geocompose.tasks.base import Task


class ClassTask(Task):
    """Trains a model on classes and scores it by one confusion matrix per split.

    make_loss: builds the loss that `loss` names, of those that the task knows.
    selections: the metrics by which its best epoch can be chosen.
    """

    make_loss: ClassVar[Callable[..., nn.Module]]
    selections: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        model: EncoderDecoderModel,
        optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        scheduler: Callable[..., Any],
        target: Target,
        num_tiles: dict[str, int],
        loss: str | list[str] | dict[str, float | dict[str, Any]] = "ce",
        class_weights: list[float] | Literal["balanced"] | None = None,
        label_smoothing: float = 0.0,
        sampler: Literal["rare_classes"] | None = None,
        aux_loss: dict[str, float] | None = None,
        lr_by_part: dict[str, float] | None = None,
        freeze_backbone: bool = False,
        freeze_decoder: bool = False,
        freeze_head: bool = False,
        layer_decay: float | None = None,
        select_by: str | None = None,
    ) -> None:
        """Take what every task takes (see `Task`) and the loss.

        loss: a name, or a sum (see `build_loss`). class_weights: a factor per class for ce and focal; `balanced` is
            turned into factors by whoever has the training labels (`geocompose.training.class_balance`).
        select_by: the metric of validation by which the best epoch is chosen, of `selections`; None is the task's own.
        label_smoothing: of ce. sampler: how training tiles are drawn (`geocompose.data.census.sampling_weights`).

        Raises:
            UserError: a loss or a metric that can't be, or what `Task` refuses.
        """
        if select_by is not None and select_by not in self.selections:
            raise UserError(f"task.select_by has no {select_by!r}. {choices(select_by, self.selections)}")

        def criterion() -> nn.Module:
            return self.make_loss(
                loss,
                len(target.names),
                target.ignore_index,
                class_weights=class_weights,
                label_smoothing=label_smoothing,
            )

        super().__init__(
            model, optimizer, scheduler, target, num_tiles, criterion, aux_loss, lr_by_part,
            freeze_backbone, freeze_decoder, freeze_head, layer_decay,
        )  # fmt: skip
        self.sampler = sampler
        if select_by is not None:
            self.selection = (f"val/{select_by}", "min" if better(select_by) == "lower" else "max")
