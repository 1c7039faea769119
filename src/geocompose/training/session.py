"""A run that is prepared: data, model, task and trainer, with all checked that can be wrong."""

import logging
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from geocompose.configuration.instantiation import instantiate
from geocompose.contracts.meta import check_training_batch
from geocompose.cost.summary import Summary, summarize
from geocompose.data.module import SceneData
from geocompose.data.preflight import Preview
from geocompose.data.shares import Share
from geocompose.errors import UserError, counted
from geocompose.from_config import BuiltModel, build_data, build_model, opened_data
from geocompose.inference.trained import with_plain_weights
from geocompose.runs import RunFolder
from geocompose.tasks.base import Task
from geocompose.tasks.layer_decay import tell_rates
from geocompose.tasks.own_losses import left_open
from geocompose.training.averaging import KEPT_AT_MOST, WarmedAverage, kept_of_start
from geocompose.training.backbone_schedule import backbone_schedule
from geocompose.training.class_balance import with_balance
from geocompose.training.kept_features import check_keepable, settings_of
from geocompose.training.loggers import MakeLogger, logger_maker
from geocompose.training.metrics_csv import MetricsCsv
from geocompose.training.odd_data import tell_training_tiles, warn_of_odd_data
from geocompose.training.output_range import check_output_range
from geocompose.training.processes import ONE, Processes
from geocompose.training.reading_alike import read_alike
from geocompose.training.rehearsal import rehearse
from geocompose.training.shared_norms import tell_shares
from geocompose.training.step_seed import StepSeed
from geocompose.training.thawing import thawing

log = logging.getLogger("geocompose")


@dataclass
class Session:
    """All that a run needs, checked; nothing of it is written yet.

    decided: what a record keeps of the training: weights that were computed from the training labels, by key and class,
    and the rates of the backbone's layers, where they fall. metrics: writes metrics.csv.
    make_logger: makes the other loggers. processes: those that compute it, and which this one is.
    """

    data: SceneData
    built: BuiltModel
    task: Task
    trainer: lightning.Trainer
    summary: Summary
    decided: Mapping[str, Mapping[str, float]]
    config: Mapping[str, Any]
    metrics: MetricsCsv
    make_logger: MakeLogger
    processes: Processes = ONE


def prepare(
    config: Mapping[str, Any],
    preview: Preview | None,
    built: BuiltModel | None,
    folder: RunFolder,
    processes: Processes = ONE,
) -> Session:
    """Return the session of a configuration, or a process's part in it.

    preview: the data, where it could be opened before; what was read of it is not read again. built: the model, where
        it could be built for that; None builds it for the data.

    Raises:
        UserError: data, task, optimizer or trainer can't be as configured, or the task is not for such data.
    """
    _quieten()
    lightning.seed_everything(config["seed"], workers=True, verbose=False)
    if preview is None or preview.source is None:
        data = build_data(config)
    else:
        data = opened_data(preview.source, preview.inputs.bands, preview.statistics)
    if built is None:
        built = build_model(with_plain_weights(config), inputs=data.inputs, target=data.target)
    read_alike(data, built.model.encoder, config)
    data.processes_here = processes.local_size
    # In half precision Lightning changes torch's default type during each forward, and that of all threads with it.
    data.threads_read = config["trainer"]["precision"] not in ("16-true", "bf16-true")
    data.setup()
    warn_of_odd_data(data)
    if data.target.kind in ("regression", "scalar_regression"):
        check_output_range(built.model, data.target, data.statistics.labels["train"].describe()["variables"])
    make_optimizer, make_scheduler = instantiate(config["optimizer"]), instantiate(config["scheduler"])
    configured, weights = with_balance(config["task"], data)
    task = instantiate(left_open(configured))(
        model=built.model,
        optimizer=make_optimizer,
        scheduler=make_scheduler,
        target=data.target,
        num_tiles={split: data.num_tiles(split) for split in ("val", "test")},
    )
    data.share(Share(processes.rank, processes.size))
    data.crops = settings_of(config).crops
    data.draw_by(task.sampler)
    tell_training_tiles(data)
    metrics = MetricsCsv(folder.metrics)
    make_logger = logger_maker(config["logger"])
    thaw = thawing(built.model, int(config["trainer"]["max_epochs"]), processes)
    try:
        trainer = instantiate(config["trainer"])(
            folder=folder.checkpoints,
            selection=task.selection,
            loggers=[],  # they are opened when the run begins: `Logs`
            ours=[*thaw, metrics, StepSeed(config["seed"], processes.rank), *backbone_schedule(built.model)],
            model=built.model,
            processes=processes,
        )
    except UserError:
        raise
    except (MisconfigurationException, ValueError) as error:
        raise UserError(
            f"trainer: {error} Check trainer.accelerator (auto, cpu, gpu) and trainer.precision."
        ) from error
    batches = math.ceil(len(data.train_dataloader()) / trainer.accumulate_grad_batches)
    parameter_groups = task.parameter_groups()
    rehearse(
        parameter_groups,
        make_optimizer,
        make_scheduler,
        task.selection,
        config,
        num_steps=batches * trainer.max_epochs,
        num_epochs=trainer.max_epochs,
        validation_every=trainer.check_val_every_n_epoch,
    )
    check_keepable(config, data, task, trainer)
    layer_rates = tell_rates(parameter_groups)
    _tell_averaging(trainer, batches * trainer.max_epochs)
    if min(processes.share(data.batch_size), len(data.training_tiles)) == 1:
        check_training_batch(built.model, image_size=(data.tile_px, data.tile_px), num_frames=built.plan.num_frames)
    summary = summarize(built.model, image_size=(data.tile_px, data.tile_px), num_frames=built.plan.num_frames)
    if processes.size > 1:
        tell_shares(built.model, data.batch_size, processes)
    told = dict(weights) | ({} if layer_rates is None else {"layer_rates": layer_rates})
    return Session(data, built, task, trainer, summary, told, config, metrics, make_logger, processes)


def _tell_averaging(trainer: lightning.Trainer, num_steps: int) -> None:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, WarmedAverage) and (kept := kept_of_start(callback.decay, num_steps)) > KEPT_AT_MOST:
            log.warning(
                "trainer.ema_decay=%g would keep %.0f %% of the first step's weights at the end of %s: train longer, "
                "or lower it.", callback.decay, 100 * kept, counted(num_steps, "step"),
            )  # fmt: skip


def _quieten() -> None:
    """Silence advice of Lightning that this project has decided on; everything else comes through."""
    for advice in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*treespec.*LeafSpec.*",
        r"Found \d+ module\(s\) in eval mode.*",  # frozen ones, whose norms and dropout stay as they are
        ".*AMP with fp16 is not supported on CPU.*",  # refused in our words
        ".*sync_dist=True.*",  # losses and counts are those of all processes before they are logged
    ):
        warnings.filterwarnings("ignore", message=advice)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
