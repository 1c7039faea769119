"""A line per epoch: in run.log always, on the console too where no progress bar is shown."""

import math
from collections.abc import Sequence

import lightning
from lightning.pytorch.callbacks import Callback

from geocompose.runs.run_log import COURSE, QUIET
from geocompose.training.metrics_csv import MetricsCsv
from geocompose.training.pace import Pace

_RECENT = 5  # epochs by which the time that is left is estimated


class EpochLines(Callback):
    """Says of each epoch, counted from 1: loss, selection metric, learning rate, seconds, and the time that is left.

    Comes after the callbacks that it reads. selection: the metric, and `max` or `min`.
    """

    def __init__(self, metrics: MetricsCsv, pace: Pace, selection: tuple[str, str]) -> None:
        self._metrics, self._pace, self._selection = metrics, pace, selection
        self._first = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the epoch with which this process begins: another machine may have computed those before."""
        self._first = trainer.current_epoch

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Say how the epoch went."""
        if not trainer.is_global_zero:
            return
        done, total = trainer.current_epoch + 1, int(trainer.max_epochs or 0)
        row = self._metrics.rows[-1]
        metric, mode = self._selection
        parts = [f"loss {float(row['train/loss']):.4g}"] if "train/loss" in row else []
        if metric in row:
            earlier = [
                float(before[metric]) for before in self._metrics.rows[:-1] if before.get(metric) not in (None, "")
            ]
            best = " (best so far)" if _is_best(float(row[metric]), earlier, mode) else ""
            parts.append(f"{metric} {float(row[metric]):.4f}{best}")
        parts += [f"{name} {float(value):.3g}" for name, value in row.items() if name == "lr" or name.startswith("lr_")]
        seconds = [taken for taken in self._pace.record.epochs["seconds"][self._first :] if taken is not None]
        parts.append(f"{seconds[-1]:.1f} s")
        left = duration(sum(seconds[-_RECENT:]) / len(seconds[-_RECENT:]) * (total - done))
        line = f"epoch {done}/{total}: {', '.join(parts)}; {left} left"
        (COURSE if trainer.progress_bar_callback is None else QUIET).info("%s", line)


def duration(seconds: float) -> str:
    """Return a duration in words of two units at most, such as `2 h 5 min`."""
    whole = math.ceil(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _is_best(value: float, earlier: Sequence[float], mode: str) -> bool:
    known = [each for each in earlier if not math.isnan(each)]
    if math.isnan(value):
        return False
    return all(value > each if mode == "max" else value < each for each in known)
