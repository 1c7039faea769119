"""Reconstruction: hidden patches of an image are predicted from the others; pretraining without labels."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from geocompose.imagery.samples import Kind, Target
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.output import ModelOutput
from geocompose.models.prithvi_mae.model import MaskedAutoencoderModel
from geocompose.tasks.base import Batch, Task
from geocompose.tasks.masking import Masking, fixed_noise, reconstruct, training_noise
from geocompose.tasks.number_losses import regression_loss


class ReconstructionTask(Task):
    """Learns from images alone: mask (B, H, W) is NaN where an image has no data, else 0.

    The loss is taken over the pixels that were hidden and have data, in deviations of the training pixels. A training
    step hides other patches each time, by the run's seed and the step alone; validation and test hide the same ones of
    a tile each time and in every run, so that losses compare. `loss_of_mean` is what the loss would be if each hidden
    pixel were said to be its band's mean (with `norm_pix_loss`: its patch's).

    Source: arXiv 2111.06377 (a masked autoencoder); arXiv 2111.09886 (hidden patches of any backbone's image).
    """

    kind: ClassVar[Kind] = "reconstruction"
    selection: tuple[str, str] = ("val/loss", "min")
    takes_features: ClassVar[bool] = False  # it hides patches of the image

    def __init__(
        self,
        model: EncoderDecoderModel,
        optimizer: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        scheduler: Callable[..., Any],
        target: Target,
        num_tiles: dict[str, int],
        mask_ratio: float = 0.75,
        mask_px: int | None = None,
        norm_pix_loss: bool = False,
        loss: str | list[str] | dict[str, float | dict[str, Any]] = "mse",
        variable_weights: list[float] | None = None,
        aux_loss: dict[str, float] | None = None,
        lr_by_part: dict[str, float] | None = None,
        freeze_backbone: bool = False,
        freeze_decoder: bool = False,
        freeze_head: bool = False,
    ) -> None:
        """Take what every task takes (see `Task`), what is hidden and the loss.

        mask_ratio, mask_px, norm_pix_loss: see `Masking`. loss: mse, mae, rmse or huber, or a sum (see `build_loss`).
        variable_weights: a factor per band.

        Raises:
            UserError: a ratio, a patch or a loss that can't be, or what `Task` refuses.
        """
        masking = Masking(mask_ratio, mask_px, norm_pix_loss)
        masking.patch_of(model)
        scored = masking.scored(target)

        def criterion() -> nn.Module:
            return regression_loss(loss, scored, variable_weights)

        super().__init__(
            model, optimizer, scheduler, scored, num_tiles, criterion, aux_loss, lr_by_part,
            freeze_backbone, freeze_decoder, freeze_head,
        )  # fmt: skip
        self.masking = masking
        if isinstance(model, MaskedAutoencoderModel):
            model.mask_ratio = mask_ratio

    def reconstruction(self, batch: Batch) -> tuple[ModelOutput, Tensor]:
        """Return the output and the truth of a batch as it is scored: see `geocompose.tasks.masking.reconstruct`."""
        noise = fixed_noise(self.masking, self.model, batch["image"], batch["tile"])
        return reconstruct(self.model, batch, self.target, self.masking, noise)

    def _answer(self, batch: Batch, *, training: bool) -> tuple[ModelOutput, Tensor]:
        if not training:
            return self.reconstruction(batch)
        noise = training_noise(self.masking, self.model, batch["image"])
        return reconstruct(self.model, batch, self.target, self.masking, noise)

    def _losses(self, output: Tensor, truth: Tensor) -> dict[str, Tensor]:
        of_mean = self.criterion(torch.zeros_like(output), truth)
        return {**super()._losses(output, truth), "loss_of_mean": of_mean}
