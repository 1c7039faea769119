"""Semantic segmentation: one class a pixel."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import nn

from geocompose.data.target import Kind, Target
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.tasks.base import Task
from geocompose.tasks.class_losses import segmentation_loss


class SegmentationTask(Task):
    """Trains a model on labelled tiles and scores it by one confusion matrix a split.

    Batches hold mask (B, H, W) with the target's `ignore_index` where there is no label.
    """

    kind: ClassVar[Kind] = "segmentation"
    selection: ClassVar[tuple[str, str]] = ("val/mIoU", "max")

    def __init__(
        self,
        model: EncoderDecoderModel,
        optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        scheduler: Callable[..., Any],
        target: Target,
        num_tiles: dict[str, int],
        loss: str | list[str] | dict[str, float | dict[str, float]] = "ce",
        class_weights: list[float] | None = None,
        label_smoothing: float = 0.0,
        aux_loss: dict[str, float] | None = None,
        lr_by_part: dict[str, float] | None = None,
        freeze_backbone: bool = False,
        freeze_decoder: bool = False,
        freeze_head: bool = False,
    ) -> None:
        """Take what every task takes (see `Task`) and the loss.

        loss: ce, dice, focal, jaccard, lovasz or tversky, or a sum (see `build_loss`). class_weights: a factor a class for
        ce and focal. label_smoothing: of ce.

        Raises:
            UserError: a loss that can't be, or what `Task` refuses.
        """

        def criterion() -> nn.Module:
            return segmentation_loss(
                loss,
                len(target.names),
                target.ignore_index,
                class_weights=class_weights,
                label_smoothing=label_smoothing,
            )

        super().__init__(
            model, optimizer, scheduler, target, num_tiles, criterion, aux_loss, lr_by_part,
            freeze_backbone, freeze_decoder, freeze_head,
        )  # fmt: skip
