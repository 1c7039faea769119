"""Lightning's trainer as the experiments use it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import FSDPStrategy

from geocompose.errors import UserError
from geocompose.inference.products import MatmulPrecision
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.training.averaging import WarmedAverage
from geocompose.training.checkpoint_files import WholeCheckpoints
from geocompose.training.checkpoints import MovableCheckpoint
from geocompose.training.compiling import check_compiler
from geocompose.training.precision import HalfPrecisionModel
from geocompose.training.processes import Processes


class StartedHere(LightningEnvironment):
    """Processes that a run has started itself, on this machine."""

    def __init__(self, processes: Processes) -> None:
        super().__init__()
        self._processes = processes

    @property
    def creates_processes_externally(self) -> bool:
        """They are there already."""
        return True

    def local_rank(self) -> int:
        """Return this process's number."""
        return self._processes.local_rank


class ProgressBar(RichProgressBar):
    """Lightning's, without the logger's version."""

    def get_metrics(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands beside the bar."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        return shown


def _check_fsdp(accelerator: str, ema_decay: float | None, keep: Sequence[str]) -> None:
    if accelerator == "cpu" or not torch.cuda.is_available():
        raise UserError(
            "trainer=fsdp shares a model among GPUs, and there is none here. trainer=ddp runs on processors."
        )
    if ema_decay is not None:
        raise UserError(
            "trainer=fsdp holds no whole weights to average: set trainer.ema_decay=null, or use trainer=ddp."
        )
    if "base" not in keep:
        raise UserError(
            f"trainer=fsdp keeps frozen weights in checkpoints: trainer.keep must have base; got {list(keep)}."
        )


def _placed(
    processes: Processes, devices: int | list[int] | Literal["auto"], strategy: Literal["ddp", "fsdp"] | None
) -> dict[str, Any]:
    """Return Lightning's arguments of where a run is computed."""
    if processes.size == 1:
        return {"devices": devices if strategy is None else 1}
    chosen = devices if isinstance(devices, list) else processes.local_size
    whole = FSDPStrategy(state_dict_type="full") if strategy == "fsdp" else strategy  # checkpoints as of one process
    return {"devices": chosen, "num_nodes": processes.size // processes.local_size, "strategy": whole}


def _checked_callbacks(callbacks: Sequence[Any]) -> list[Callback]:
    """Refuse what is no callback.

    Raises:
        UserError: says which entry, and what it is.
    """
    for place, each in enumerate(callbacks):
        if not isinstance(each, Callback):
            raise UserError(
                f"trainer.callbacks[{place}] must be a callback of Lightning's, or derived from "
                "lightning.pytorch.callbacks.Callback, such as {_target_: lightning.pytorch.callbacks.Timer}; got "
                f"{each!r:.100}."
            )
    return list(callbacks)


def build_trainer(
    folder: Path,
    selection: tuple[str, str],
    loggers: Sequence[Logger],
    model: EncoderDecoderModel | None,
    processes: Processes,
    ours: Sequence[Callback] = (),
    max_epochs: int = 10,
    precision: Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"] = "32-true",
    matmul_precision: MatmulPrecision = "high",
    compile: bool = False,
    micro_batch: int | Literal["auto"] | None = None,
    accelerator: str = "auto",
    devices: int | list[int] | Literal["auto"] = 1,
    strategy: Literal["ddp", "fsdp"] | None = None,
    num_nodes: int = 1,
    sync_batchnorm: bool = False,
    early_stopping_patience: int | None = None,
    gradient_clip_val: float | None = 1.0,
    accumulate_grad_batches: int = 1,
    check_val_every_n_epoch: int = 1,
    ema_decay: float | None = None,
    deterministic: bool | Literal["warn"] = "warn",
    progress_bar: bool = True,
    keep: Sequence[str] = ("best",),
    callbacks: list[Any] | None = None,
) -> lightning.Trainer:
    """Return a trainer that keeps the best and the last checkpoint in `folder`; see `check_settings` for its numbers.

    selection: the metric and `max` or `min`, by which the best epoch is chosen. model: see `WholeCheckpoints`. keep: of
    `KEPT`, what a finished run keeps; base: frozen weights are in the checkpoints. matmul_precision: torch's setting of
    that name, which is this process's from here on (see `products_of`). compile: that there is a compiler; see
    `compile_parts`. micro_batch: see `MicroBatch`. num_nodes: see `processes_of`. ours: callbacks of the run's own.
    callbacks: the user's. The others are Lightning's; early_stopping_patience counts epochs without a better selection
    metric, null never stops; ema_decay averages the weights (see `WarmedAverage`), which are then the ones that are
    validated, tested and kept.

    Raises:
        UserError: several processes and a micro-batch, no GPU for `fsdp`, no compiler, or no callback in `callbacks`.
    """
    if micro_batch is not None and processes.size > 1:
        raise UserError("trainer.micro_batch is for one process: several share a batch already. Leave it null.")
    if strategy == "fsdp":
        _check_fsdp(accelerator, ema_decay, keep)
    metric, mode = selection
    # The best epoch needs no optimizer state; only where weights are averaged does Lightning swap them in a full
    # checkpoint.
    best = MovableCheckpoint(
        dirpath=folder,
        filename="best",
        monitor=metric,
        mode=mode,
        save_weights_only=ema_decay is None,
        enable_version_counter=False,
    )
    last = MovableCheckpoint(
        dirpath=folder, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
    )
    own: list[Callback] = [*ours, *_checked_callbacks(callbacks or []), best, last]
    if early_stopping_patience is not None:
        checks = max(1, early_stopping_patience // check_val_every_n_epoch)
        own.append(EarlyStopping(monitor=metric, mode=mode, patience=checks, check_finite=False))
    if ema_decay is not None:
        own.append(WarmedAverage(ema_decay))
    # Without a terminal a bar would show nothing until the end: there is a line per epoch instead (`EpochLines`).
    progress_bar = progress_bar and processes.first and sys.stdout.isatty()
    if progress_bar:
        own.append(ProgressBar(leave=False))
    torch.set_float32_matmul_precision(matmul_precision)
    if compile:
        check_compiler()
    # Filling uninitialised memory helps to find bugs of torch's own operators, and costs a fifth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    half = precision in ("16-true", "bf16-true")
    trainer = lightning.Trainer(
        default_root_dir=folder,
        max_epochs=max_epochs,
        precision=None if half else precision,
        plugins=[
            WholeCheckpoints(model, keep_frozen="base" in keep),
            *([HalfPrecisionModel(precision)] if half else []),  # type: ignore[arg-type]
            *([StartedHere(processes)] if processes.size > 1 and not processes.outside else []),
        ],
        accelerator=accelerator,
        **_placed(processes, devices, strategy),
        sync_batchnorm=sync_batchnorm,
        gradient_clip_val=gradient_clip_val,
        accumulate_grad_batches=accumulate_grad_batches,
        check_val_every_n_epoch=check_val_every_n_epoch,
        deterministic=deterministic,
        logger=list(loggers),
        callbacks=own,
        enable_progress_bar=progress_bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # geocompose.data.shares
        log_every_n_steps=1,
    )
    if precision.startswith("16") and isinstance(trainer.accelerator, CPUAccelerator):
        raise UserError(
            f"trainer.precision={precision} needs an accelerator; use bf16-mixed or 32-true on this processor."
        )
    return trainer
