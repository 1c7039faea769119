"""How fast a run trains and how much memory it takes, recorded while it runs; and its sign of life."""

import time
from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from geocompose.runs import Record
from geocompose.runs.folder import ACCELERATOR_PEAK

SIGN_OF_LIFE_S = 30


class Pace(Callback):
    """Fills a record's epochs and peak memory, and saves it after each epoch and every half minute.

    save: writes the record.
    """

    def __init__(self, record: Record, save: Callable[[], None]) -> None:
        self.record = record
        self._save = save
        self._saved_s = self._began_s = time.monotonic()
        self._trained_s = 0.0
        self._images = self._batches = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep what an interrupted part measured, up to the epoch from which it is resumed."""
        epochs = self.record.epochs
        for name in ("seconds", "images_per_s", "step_s"):
            measured = epochs.get(name, [])[: trainer.current_epoch]
            epochs[name] = [*measured, *[None] * (trainer.current_epoch - len(measured))]

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._began_s, self._trained_s, self._images, self._batches = time.monotonic(), 0.0, 0, 0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch's images."""
        self._images += len(batch["tile"])
        self._batches += 1
        if trainer.is_last_batch and pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)  # batches are only queued until then
        self._trained_s = time.monotonic() - self._began_s
        self._give_sign(trainer)

    def on_validation_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *batch: Any
    ) -> None:
        """Give a sign of life."""
        self._give_sign(trainer)

    def on_test_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *batch: Any) -> None:
        """Give a sign of life."""
        self._give_sign(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record the epoch."""
        images = self._images * trainer.world_size
        self.record.epochs["seconds"].append(round(time.monotonic() - self._began_s, 3))
        self.record.epochs["images_per_s"].append(round(images / self._trained_s, 2) if self._trained_s > 0 else None)
        self.record.epochs["step_s"].append(round(self._trained_s / self._batches, 5) if self._batches else None)
        self.record.training |= {"epochs": trainer.current_epoch + 1, "max_epochs": trainer.max_epochs}
        note_devices(self.record)
        self._write(trainer)

    def _give_sign(self, trainer: lightning.Trainer) -> None:
        if time.monotonic() - self._saved_s >= SIGN_OF_LIFE_S:
            self._write(trainer)

    def _write(self, trainer: lightning.Trainer) -> None:
        self._saved_s = time.monotonic()
        if trainer.is_global_zero:
            self._save()


def note_devices(record: Record) -> None:
    """Record the threads of one operation, on whose number sums depend in their last digits, and the accelerator.

    Of an accelerator, where this process has one, the most memory (MiB) too that tensors took on it.
    """
    record.hardware["threads"] = torch.get_num_threads()
    if torch.cuda.is_available():
        peak = round(torch.cuda.max_memory_allocated() / 2**20, 1)
        record.hardware["accelerator"] = torch.cuda.get_device_name()
        record.hardware[ACCELERATOR_PEAK] = max(record.hardware.get(ACCELERATOR_PEAK, 0.0), peak)
