"""Settings of the trainer and the optimizer that can't be, told before torch is loaded and anything is built."""

import math
from collections.abc import Mapping
from typing import Any

from geocompose.errors import UserError
from geocompose.runs.folder import check_kept

TRAINER = "geocompose.training.trainer.build_trainer"
# What is read of a trainer before and after it is built.
_READ = (
    *("max_epochs", "precision", "accelerator", "devices", "strategy", "num_nodes", "early_stopping_patience"),
    *("gradient_clip_val", "micro_batch", "accumulate_grad_batches", "check_val_every_n_epoch", "ema_decay", "compile"),
    *("keep", "callbacks"),
)


def check_settings(config: Mapping[str, Any]) -> None:
    """Refuse a number of a checked configuration that no run can be trained with.

    A trainer of your own is left to itself, and what an optimizer asks beyond this to `rehearse`.

    Raises:
        UserError: names the key, what it got and what is allowed.
    """
    if config["trainer"].get("_target_") == TRAINER:
        _check_trainer(config["trainer"])
    for key in ("lr", "weight_decay", "eps"):
        value = config["optimizer"].get(key)
        if isinstance(value, int | float) and not 0 <= value < math.inf:
            raise UserError(f"optimizer.{key} must be a number, 0 or more; got {value:g}.")


def _check_trainer(trainer: Mapping[str, Any]) -> None:
    if lacking := [key for key in _READ if key not in trainer]:
        raise UserError(f"trainer.{lacking[0]} can't be taken out: leave it as it is, or give it another value.")
    for name in ("max_epochs", "accumulate_grad_batches", "check_val_every_n_epoch"):
        if trainer[name] < 1:
            raise UserError(f"trainer.{name} must be a whole number, 1 or more; got {trainer[name]}.")
    every, epochs = trainer["check_val_every_n_epoch"], trainer["max_epochs"]
    if every > epochs:
        raise UserError(
            f"trainer.check_val_every_n_epoch={every} never comes in {epochs} epochs, and without validation there is "
            "no best checkpoint."
        )
    patience, clip, decay = (trainer[key] for key in ("early_stopping_patience", "gradient_clip_val", "ema_decay"))
    if patience is not None and patience < 1:
        raise UserError(
            f"trainer.early_stopping_patience must be a number of epochs, 1 or more, or null; got {patience}."
        )
    if clip is not None and not 0 < clip < math.inf:
        raise UserError(f"trainer.gradient_clip_val must be a norm above 0, or null for none; got {clip}.")
    if decay is not None and not 0 < decay < 1:
        raise UserError(f"trainer.ema_decay must be between 0 and 1, such as 0.999; got {decay}.")
    size = trainer["micro_batch"]
    if size not in (None, "auto") and (isinstance(size, str) or size < 1):
        raise UserError(f"trainer.micro_batch must be a whole number, 1 or more, auto or null; got {size}.")
    devices, machines = trainer["devices"], trainer["num_nodes"]
    several = len(devices) if isinstance(devices, list) else devices
    if trainer["strategy"] is not None and (machines < 1 or several == 0 or (devices != "auto" and several < 0)):
        raise UserError(
            f"trainer.devices must be auto, 1 or more, or a list of GPUs' numbers, and trainer.num_nodes 1 or more; "
            f"got {devices} and {machines}."
        )
    if trainer["strategy"] is None and (machines != 1 or several != 1):
        raise UserError(
            f"trainer=default is one process on one device: trainer.devices must be 1, or [NUMBER], and "
            f"trainer.num_nodes 1; got {devices} and {machines}. For several, write trainer=ddp."
        )
    check_kept(trainer["keep"])
