"""How many samples learn at a time where a whole batch does not fit in memory, found before the first step."""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from geocompose.errors import UserError, counted
from geocompose.tasks.base import Task
from geocompose.tasks.micro_batches import parts

log = logging.getLogger("geocompose")

_OPTIMIZER_SLOTS = 2  # numbers that AdamW keeps per weight; they come with the first step


class MicroBatch(Callback):
    """Lets the task learn in parts, as `trainer.micro_batch` says; `auto` halves a batch until it fits.

    A trial computes a forward and its gradients and takes no step; buffers and random numbers are put back after it, so
    that a run with enough memory is the run that it would have been.
    """

    def __init__(self, size: int | str, training: dict[str, Any]) -> None:
        """Take trainer.micro_batch, a number or `auto`, and what a record keeps of the training: the size, for one."""
        self._size = size
        self._training = training
        self._chosen = False

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Choose the size, before the first step of this process."""
        if self._chosen:
            return
        assert isinstance(pl_module, Task)
        self._chosen = True
        whole = len(batch["tile"])
        size = fitting(trainer, pl_module, batch) if self._size == "auto" else int(self._size)
        self._training["micro_batch"] = min(size, whole)
        if size < whole:
            pl_module.micro_batch = size
            log.info(
                "Batches of %d learn %s at a time, and the optimizer steps once per batch; batch normalisation sees "
                "the parts.",
                whole, counted(size, "sample"),
            )  # fmt: skip


def fitting(trainer: lightning.Trainer, task: Task, batch: Any) -> int:
    """Return how many of a batch's samples fit in memory at a time: all, or the first of a half, a quarter, ...

    Raises:
        UserError: not even one fits.
    """
    size = len(batch["tile"])
    while not _fits(trainer, task, batch, size):
        if size == 1:
            raise UserError(
                "Not even one sample fits in memory with its gradients. Use a smaller model or data.tile_px, "
                "peft=frozen, or trainer.precision=bf16-mixed."
            )
        size = (size + 1) // 2
    return size


def _fits(trainer: lightning.Trainer, task: Task, batch: Any, size: int) -> bool:
    learning = [parameter for parameter in task.parameters() if parameter.requires_grad]
    try:
        with _as_before(task):
            there = [torch.empty_like(parameter) for parameter in learning for _ in range(_OPTIMIZER_SLOTS)]
            with trainer.precision_plugin.train_step_context():
                loss = task.loss_of(next(parts(batch, size)))
            loss.backward()
            del loss, there
    except RuntimeError as error:
        # A processor's allocator has no error of its own.
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            return False
        raise
    finally:
        for parameter in learning:
            parameter.grad = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return True


@contextmanager
def _as_before(task: Task) -> Iterator[None]:
    """Put buffers and the states of all generators back after the block."""
    buffers = [(buffer, buffer.clone()) for buffer in task.buffers()]
    drawn, drawn_by_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - as libraries draw
    devices = [task.device] if task.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(drawn)
        np.random.set_state(drawn_by_numpy)  # noqa: NPY002
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
