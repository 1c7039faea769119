"""What of a backbone follows the course of its training: told of each step, and kept in checkpoints."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn

from geocompose.contracts.schedule import Schedule, schedule_of
from geocompose.errors import UserError
from geocompose.models.encoder_decoder import EncoderDecoderModel


def backbone_schedule(model: EncoderDecoderModel) -> list[Callback]:
    """Return the callback of a model whose backbone has a schedule; none for most."""
    schedule = schedule_of(model.encoder)
    return [] if schedule is None else [BackboneSchedule(model.encoder, schedule)]


class BackboneSchedule(Callback):
    """Tells a backbone's schedule how long the training is, and of each optimizer step."""

    def __init__(self, encoder: nn.Module, schedule: Schedule) -> None:
        """Take the encoder, and its schedule."""
        self._encoder, self._schedule = encoder, schedule
        self._done = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Plan for the training's steps.

        Raises:
            UserError: the strategy shares the backbone among devices, where its layers are not whole.
        """
        if isinstance(trainer.strategy, FSDPStrategy):
            raise UserError(
                "peft=adalora needs whole layers, which trainer=fsdp shares among devices: use trainer=ddp."
            )
        self._schedule.begin(self._encoder, int(trainer.estimated_stepping_batches))
        self._done = trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell of an optimizer step, if this batch was the last of its."""
        if trainer.global_step > self._done:  # gradients stay until the next batch's
            self._done = trainer.global_step
            self._schedule.after_step(self._encoder, self._done)

    def state_dict(self) -> dict[str, Any]:
        """Return what the schedule has to know when the training is resumed."""
        return self._schedule.state(self._encoder)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._schedule.resume(self._encoder, state_dict)
