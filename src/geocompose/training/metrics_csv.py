"""metrics.csv: one row per epoch, kept when a run resumes."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback

from geocompose.runs.atomic import write_text
from geocompose.runs.epoch_rows import written_rows
from geocompose.tasks.layer_decay import DEPTH
from geocompose.training.thawing import Thawing


class MetricsCsv(Callback):
    """Writes each epoch's metrics and learning rate; a resumed run replaces the rows from its epoch on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Mapping[str, float | str]] = []
        self._lr: dict[str, float] = {}
        self._validated = False

    @property
    def rates(self) -> Mapping[str, float]:
        """The rates with which the epoch began: `lr`, and `lr_<part>`. Those that fall with depth are left out."""
        return self._lr

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take up the rows of the epochs before a resumed one."""
        # Kept as text: a number that is read and written again may look different, and an empty cell has no number.
        self.rows = [row for row in written_rows(self.path) if float(row["epoch"]) < trainer.current_epoch]

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the rates with which this epoch begins, before the scheduler changes them: `lr`, and `lr_<part>`."""
        groups = trainer.optimizers[0].param_groups
        factor = next((each.factor for each in trainer.callbacks if isinstance(each, Thawing)), 1.0)  # type: ignore[attr-defined]
        self._lr = {
            f"lr_{group['name']}" if "name" in group else "lr": float(group["lr"]) * factor
            for group in groups
            if DEPTH not in group
        }
        self._validated = False

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note that this epoch has validation metrics of its own."""
        self._validated = True

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the epoch's row."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        row: dict[str, float] = {"epoch": trainer.current_epoch, "step": trainer.global_step, **self._lr}
        # Lightning keeps the metrics of the last validation; an epoch without one must not repeat them.
        named = sorted(trainer.callback_metrics.items())
        row |= {name: float(value) for name, value in named if self._validated or not name.startswith("val/")}
        self.rows.append(row)
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())
