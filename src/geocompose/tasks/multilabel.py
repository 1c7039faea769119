"""Multi-label classification: any number of classes per image."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from geocompose.imagery.samples import Kind, Target
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.tasks.base import Task
from geocompose.tasks.label_losses import multilabel_loss


class MultilabelTask(Task):
    """Trains a model on labelled images and scores its decisions for and against each class, counted over a split.

    Batches hold label (B, classes) of 0, 1 and -1 (unknown). An output of 0 or more is a decision for the class.
    """

    kind: ClassVar[Kind] = "multilabel"
    selection: tuple[str, str] = ("val/F1_macro", "max")

    def __init__(
        self,
        model: EncoderDecoderModel,
        optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        scheduler: Callable[..., Any],
        target: Target,
        num_tiles: dict[str, int],
        loss: str | list[str] | dict[str, float | dict[str, Any]] = "bce",
        class_weights: list[float] | Literal["balanced"] | None = None,
        positive_weights: list[float] | Literal["balanced"] | None = None,
        sampler: Literal["rare_classes"] | None = None,
        aux_loss: dict[str, float] | None = None,
        lr_by_part: dict[str, float] | None = None,
        freeze_backbone: bool = False,
        freeze_decoder: bool = False,
        freeze_head: bool = False,
        layer_decay: float | None = None,
    ) -> None:
        """Take what every task takes (see `Task`) and the loss.

        loss: bce, balanced_bce, focal or jaccard, or a sum (see `build_loss`). class_weights: how much the decisions on
        each class count. positive_weights: how much more each class's yes counts than its no, for bce; `balanced` is
        turned into factors by whoever has the training labels (`geocompose.training.class_balance`).
        sampler: how training images are drawn (`geocompose.data.census.sampling_weights`).

        Raises:
            UserError: a loss that can't be, or what `Task` refuses.
        """

        def criterion() -> nn.Module:
            return multilabel_loss(
                loss, len(target.names), class_weights=class_weights, positive_weights=positive_weights
            )

        super().__init__(
            model, optimizer, scheduler, target, num_tiles, criterion, aux_loss, lr_by_part,
            freeze_backbone, freeze_decoder, freeze_head, layer_decay,
        )  # fmt: skip
        self.sampler = sampler
