"""How long the model waited for data while it was trained: a line at the end of a run, and a number in its record."""

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from geocompose.data.module import SceneData
from geocompose.runs import Record
from geocompose.runs.run_log import COURSE, QUIET

TOO_MUCH = 0.2  # of an epoch: from here on it is said what to set
_NOTICEABLE_S = 2.0  # shorter waits are no reason to change anything


class DataWait(Callback):
    """Measures for how long training steps found no batch that was ready, and records who reads samples (`loading`).

    Records `data_wait_s` of each epoch, of its time without validation. On a GPU it is at most that: steps are queued
    there, and it may still compute while the next batch is waited for.
    """

    def __init__(self, record: Record, data: SceneData) -> None:
        self.record = record
        self._data = data
        self._began_s = self._trained_s = self._waited_s = 0.0
        self._waited_before_s = 0.0
        self._advised = False

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record who reads, and keep what an interrupted part measured, up to the epoch from which it is resumed."""
        self.record.training["loading"] = self._data.loading
        measured = self.record.epochs.get("data_wait_s", [])[: trainer.current_epoch]
        self.record.epochs["data_wait_s"] = [*measured, *[None] * (trainer.current_epoch - len(measured))]

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._began_s, self._waited_before_s = time.monotonic(), _waited_s(trainer)
        self._epoch_s = 0.0

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note how long the epoch has trained."""
        self._epoch_s = time.monotonic() - self._began_s

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Record what has been waited for so far, and say once what to set where it is much."""
        waited_s = _waited_s(trainer) - self._waited_before_s
        self._waited_s += waited_s
        self._trained_s += self._epoch_s
        self.record.epochs["data_wait_s"].append(round(waited_s, 3))
        too_much = waited_s > TOO_MUCH * self._epoch_s and waited_s >= _NOTICEABLE_S
        if too_much and not self._advised and trainer.is_global_zero:
            self._advised = True
            COURSE.info(
                "In epoch %d the model waited for data for %.0f %% of the time. %s",
                trainer.current_epoch + 1, 100 * waited_s / self._epoch_s, self._data.loading_advice,
            )  # fmt: skip

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Say how long the model waited."""
        if self._trained_s and trainer.is_global_zero:
            QUIET.info(
                "The model waited for data for %.1f s, %.0f %% of the training time (%.0f s).",
                self._waited_s, 100 * self._waited_s / self._trained_s, self._trained_s,
            )  # fmt: skip


def _waited_s(trainer: lightning.Trainer) -> float:
    """Return for how long the training's batches have been waited for so far."""
    return float(getattr(trainer.train_dataloader, "waited_s", 0.0))  # other people's loaders don't count
