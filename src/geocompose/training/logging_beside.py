"""Loggers beside a run: what they fail at is said once, and the run goes on without them."""

import logging
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from torch import Tensor

from geocompose.errors import UserError, in_one_line
from geocompose.runs import Record
from geocompose.runs.atomic import RefusedError, refusals_told
from geocompose.runs.watching import StoppedError
from geocompose.training.lightning_loggers import name_of
from geocompose.training.loggers import LoggedRun, MakeLogger
from geocompose.training.metrics_csv import MetricsCsv

log = logging.getLogger("geocompose")


class LoggerBeside(Logger):
    """A logger that can't fail the run: after its first error it is left out, which is said and recorded."""

    def __init__(self, logger: Logger, record: Record) -> None:
        super().__init__()
        self._logger, self._record = logger, record
        self._lost = False

    @property
    def name(self) -> str | None:
        """The logger's name of the experiment."""
        return self._logger.name

    @property
    def version(self) -> int | str | None:
        """The logger's name of the run."""
        return self._logger.version

    @property
    def save_dir(self) -> str | None:
        """Where it keeps files."""
        return self._logger.save_dir

    @property
    def experiment(self) -> Any:
        """What it writes with."""
        return getattr(self._logger, "experiment", None)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log metrics."""
        self._try(partial(self._logger.log_metrics, metrics, step))

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *more: Any, **named: Any) -> None:
        """Log hyperparameters."""
        self._try(partial(self._logger.log_hyperparams, params, *more, **named))

    def save(self) -> None:
        """Have on the disk what was logged."""
        self._try(self._logger.save)

    def finalize(self, status: str) -> None:
        """Do nothing: Lightning says this after each of training and tests; see `end`."""

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Tell of a checkpoint."""
        self._try(partial(self._logger.after_save_checkpoint, checkpoint_callback))

    def pictures(self, files: Sequence[Path], step: int) -> None:
        """Show pictures, where the logger can."""
        if (show := getattr(self._logger, "pictures", None)) is not None:
            self._try(partial(show, files, step))

    def end(self, status: str) -> None:
        """End the logger's run. status: success or failed."""
        self._try(partial(self._logger.finalize, status))

    def _try(self, call: Callable[[], object]) -> None:
        if self._lost:
            return
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever a logger does, the run goes on
            self._lost = True
            name, reason = name_of(self._logger), in_one_line(error)
            log.warning("The logger %s failed (%s); the run goes on without it.", name, reason)
            self._record.training.setdefault("left_out", []).append(f"The logger {name}: {reason}")


class Logs(Callback):
    """Opens a run's loggers before the first batch, and tells them what Lightning does not."""

    def __init__(
        self, make: MakeLogger, run: Callable[[int], LoggedRun], record: Record, metrics: MetricsCsv,
        told: tuple[Mapping[str, Any], Sequence[str]],
    ) -> None:  # fmt: skip
        """Take what makes the loggers, of a run from a step on; told: hyperparameters and names of metrics."""
        self._make, self._run, self._record, self._metrics = make, run, record, metrics
        self._hyperparameters, self._named = told
        self.loggers: list[LoggerBeside] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Open the loggers; what is wrong with them stops the run now."""
        self.open(trainer, trainer.global_step)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log the rates with which the epoch began, under their names in metrics.csv."""
        for logger in self.loggers:
            logger.log_metrics(dict(self._metrics.rates), max(0, trainer.global_step - 1))  # as Lightning counts

    def open(self, trainer: lightning.Trainer, step: int) -> None:
        """Open the loggers, and have Lightning log into them from now on.

        Raises:
            RefusedError: one can't be opened.
        """
        if not trainer.is_global_zero:
            return
        try:
            with refusals_told("the logger's files"):
                opened = self._make(self._run(step))
                for logger in opened:
                    _ = getattr(logger, "experiment", None)  # most open it when it is asked for
        except UserError:
            raise
        except Exception as error:
            raise RefusedError(
                f"The logger can't be opened: {in_one_line(error)}. Check logger.*, or choose another one: logger=csv."
            ) from error
        self.loggers = [LoggerBeside(logger, self._record) for logger in opened]
        for logger, beside in zip(opened, self.loggers, strict=True):
            place = {"name": logger.name, "version": logger.version, "save_dir": logger.save_dir}
            self._record.loggers[name_of(logger)] = {
                key: value for key, value in place.items() if isinstance(value, str | int)
            }
            if name_of(logger) == "tensorboard":
                beside.log_hyperparams(dict(self._hyperparameters), dict.fromkeys(self._named, 0.0))
            else:
                beside.log_hyperparams(dict(self._hyperparameters))
        trainer.loggers = list(self.loggers)

    def finish(self, trainer: lightning.Trainer, figures: Path) -> None:
        """Log what is known at the end: the test split's metrics and the pictures."""
        final = {name: value for name, value in self._record.metrics.items() if name.startswith("test/")}
        for logger in self.loggers:
            logger.log_metrics(final, trainer.global_step)
            logger.pictures(sorted(figures.glob("*.png")), trainer.global_step)

    @contextmanager
    def ended(self) -> Iterator[None]:
        """End the loggers' runs with the block, as it ends."""
        status = "failed"
        try:
            yield
            status = "success"
        except StoppedError:
            status = "success"  # nothing is wrong with it
            raise
        finally:
            for logger in self.loggers:
                logger.end(status)


def hyperparameters(
    config: Mapping[str, Any], choices: Mapping[str, Any]
) -> dict[str, bool | int | float | str | None]:
    """Return what a table of runs may be sorted by: the option of each group, and each key by its dotted name."""
    flat: dict[str, bool | int | float | str | None] = {
        group: None if option is None else str(option) for group, option in choices.items()
    }
    _flatten({key: value for key, value in config.items() if key not in ("action", "logger")}, "", flat)
    return flat


def _flatten(value: object, key: str, flat: dict[str, Any]) -> None:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            _flatten(inner, f"{key}.{name}" if key else str(name), flat)
    elif isinstance(value, bool | int | float | str | None):
        flat[key] = value
    elif not isinstance(value, Tensor):
        flat[key] = str(value)
