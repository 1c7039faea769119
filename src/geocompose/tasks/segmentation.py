"""Semantic segmentation: one class a pixel."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import lightning
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from geocompose.errors import UserError
from geocompose.models.pixel_wise import PixelWiseModel
from geocompose.scores import from_confusion
from geocompose.tasks.confusion import TileConfusion
from geocompose.tasks.losses import build_loss

Batch = dict[str, Tensor]


class SegmentationTask(lightning.LightningModule):
    """Trains a model on labelled tiles and scores it by one confusion matrix a split.

    Batches hold image (B, C, H, W), mask (B, H, W) with `ignore_index` where there is no label, and tile (B), the tile's number.
    """

    kind: ClassVar[str] = "segmentation"
    selection: ClassVar[tuple[str, str]] = ("val/mIoU", "max")

    def __init__(
        self,
        model: PixelWiseModel,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        scheduler: Callable[[torch.optim.Optimizer], Any],
        class_names: list[str],
        ignore_index: int,
        num_tiles: dict[str, int],
        loss: str | dict[str, float] = "ce",
        class_weights: list[float] | None = None,
        label_smoothing: float = 0.0,
        freeze_backbone: bool = False,
        freeze_decoder: bool = False,
        freeze_head: bool = False,
    ) -> None:
        """Take the model, constructors of optimizer and scheduler, what the data says of itself, and the task's own.

        num_tiles: tiles of `val` and `test`. loss: `ce`, `dice`, or weights of a sum such as {ce: 0.5, dice: 0.5}.
        class_weights: a factor a class for ce. label_smoothing: of ce. freeze_*: parts that don't learn.

        Raises:
            UserError: a loss that can't be, or nothing is left to learn.
        """
        super().__init__()
        self.model = model
        self.criterion = build_loss(
            loss,
            num_classes=len(class_names),
            ignore_index=ignore_index,
            class_weights=class_weights,
            label_smoothing=label_smoothing,
        )
        for wanted, freeze in (
            (freeze_backbone, model.freeze_encoder),
            (freeze_decoder, model.freeze_decoder),
            (freeze_head, model.freeze_head),
        ):
            if wanted:
                freeze()
        if not any(parameter.requires_grad for parameter in self.model.parameters()):
            raise UserError("Nothing is left to learn: task.freeze_* freeze every part that has parameters.")
        self._optimizer, self._scheduler = optimizer, scheduler
        self.class_names = list(class_names)
        self.ignore_index = ignore_index
        self.confusion = nn.ModuleDict(
            {
                f"{split}_confusion": TileConfusion(num_tiles[split], len(class_names), ignore_index)
                for split in ("val", "test")
            }
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, classes, H, W)."""
        return self.model(image).output

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the batch's loss."""
        loss = self.criterion(self(batch["image"]), batch["mask"])
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch["mask"]), prog_bar=True)
        return loss

    def on_train_epoch_end(self) -> None:
        """Stop a run whose loss is no number any more, instead of selecting among meaningless epochs."""
        loss = self.trainer.callback_metrics.get("train/loss")
        if loss is not None and not torch.isfinite(loss):
            raise UserError(
                f"The training loss is {float(loss)} in epoch {self.current_epoch}. Lower optimizer.lr, set "
                "trainer.gradient_clip_val, or use trainer.precision=32-true or bf16-mixed instead of 16-mixed."
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch of the validation split."""
        self._score("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch of the test split."""
        self._score("test", batch)

    def _score(self, split: str, batch: Batch) -> None:
        logits = self(batch["image"])
        loss = self.criterion(logits, batch["mask"])
        labelled = int((batch["mask"] != self.ignore_index).sum())
        if labelled:
            self.log(f"{split}/loss", loss, on_step=False, on_epoch=True, batch_size=labelled, sync_dist=True)
        self._confusion(split).update(logits.argmax(dim=1), batch["mask"], batch["tile"])

    def _confusion(self, split: str) -> TileConfusion:
        metric = self.confusion[f"{split}_confusion"]
        assert isinstance(metric, TileConfusion)
        return metric

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's counts."""
        self._confusion("val").reset()

    def on_test_epoch_start(self) -> None:
        """Forget earlier counts."""
        self._confusion("test").reset()

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the validation split."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the scores of the test split."""
        self._log_scores("test")

    def _log_scores(self, split: str) -> None:
        scores = {f"{split}/{name}": value for name, value in self.scores(split).items()}
        bar = {f"{split}/mIoU": scores.pop(f"{split}/mIoU")}
        self.log_dict(bar, prog_bar=True)
        self.log_dict(scores)

    def tile_confusion(self, split: str) -> Tensor:
        """Return the split's matrix of each tile (tiles, classes, classes) int64, as last scored."""
        return self._confusion(split).compute().cpu()

    def scores(self, split: str) -> Mapping[str, float]:
        """Return the split's metrics by name, from one confusion matrix over all its valid pixels."""
        return from_confusion(self.tile_confusion(split).sum(dim=0).numpy(), self.class_names)

    def configure_optimizers(self) -> Any:
        """Return optimizer and scheduler; the optimizer holds only what learns."""
        optimizer = self._optimizer([parameter for parameter in self.parameters() if parameter.requires_grad])
        scheduler: dict[str, Any] = {"scheduler": self._scheduler(optimizer), "monitor": self.selection[0]}
        if isinstance(scheduler["scheduler"], ReduceLROnPlateau) and self._trainer is not None:
            scheduler["frequency"] = self.trainer.check_val_every_n_epoch  # it needs a validation's metric
        return {"optimizer": optimizer, "lr_scheduler": scheduler}
