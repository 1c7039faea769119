"""A run that a search follows: it learns each epoch's validation score, and may stop the run at an epoch's end."""

import lightning
from lightning.pytorch.callbacks import Callback

from geocompose.runs.watching import Stop, Watch
from geocompose.training.metrics_csv import MetricsCsv
from geocompose.training.thawing import Thawing


class WatchedRun(Callback):
    """Asks a watch after each epoch whether the run goes on; the epoch's checkpoint is written in either case.

    Comes after `MetricsCsv`, whose rows it reads. metric: by which the run's best epoch is chosen. stop: why the run
    was stopped, once it was.
    """

    def __init__(self, watch: Watch, metrics: MetricsCsv, metric: str) -> None:
        self._watch, self._metrics, self._metric = watch, metrics, metric
        self.stop: Stop | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Ask about the epochs of before: a process that died may not have come to it."""
        if trainer.current_epoch:
            self._ask(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Ask about the epoch."""
        self._ask(trainer, trainer.current_epoch + 1)

    def _ask(self, trainer: lightning.Trainer, epochs: int) -> None:
        if epochs >= (trainer.max_epochs or 0) or epochs <= self._frozen(trainer):
            return  # there is nothing left to stop, or only the head has learnt so far
        values = {
            int(float(row["epoch"])) + 1: float(row[self._metric])
            for row in self._metrics.rows
            if row.get(self._metric) not in (None, "")
        }
        self.stop = self._watch.look(epochs, values)
        if self.stop is not None:
            trainer.should_stop = True

    def _frozen(self, trainer: lightning.Trainer) -> int:
        """Return in how many epochs the backbone is frozen before it learns (peft=lp_ft)."""
        return next((each.first_epoch for each in trainer.callbacks if isinstance(each, Thawing)), 0)  # type: ignore[attr-defined]
