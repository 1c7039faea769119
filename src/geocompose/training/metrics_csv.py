"""metrics.csv: one row per epoch, kept when a run resumes."""

import csv
import io
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from geocompose.errors import counted
from geocompose.runs.atomic import write_text
from geocompose.tasks.layer_decay import DEPTH
from geocompose.training.thawing import Thawing

log = logging.getLogger("geocompose")


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
        self.rows = [row for row in _written_rows(self.path) if float(row["epoch"]) < trainer.current_epoch]

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


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Return the rows of a metrics.csv, NaN where an epoch has no such metric; [] where there is no file."""
    return [{name: float(value) if value else math.nan for name, value in row.items()} for row in _written_rows(path)]


def _written_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a metrics.csv as texts; those that are damaged are said and left out."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    whole = [row for row in rows if _is_whole(row)]
    if len(whole) < len(rows):
        log.warning("%s is damaged: %s left out.", path, counted(len(rows) - len(whole), "row"))
    return whole


def _is_whole(row: Mapping[Any, Any]) -> bool:
    """Return whether a row has an epoch, and a number or nothing in each column."""
    try:
        numbers = [float(value) for value in row.values() if value != ""]  # None, in a row cut short, is refused
    except (TypeError, ValueError):
        return False
    return bool(numbers) and bool(row.get("epoch"))
