"""A prepared run from its first batch to its record: train, choose the best epoch, test it once, draw."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import WeightAveraging

from geocompose import console
from geocompose.contracts.backbone import contract_of
from geocompose.data.shares import Share
from geocompose.data.tile_table import tile_table
from geocompose.errors import UserError, in_one_line
from geocompose.figures.learning_curves import learning_curves
from geocompose.imagery.samples import MAPPED
from geocompose.inference.checkpoint import PUT_BACK, read_best
from geocompose.inference.pictures import Answering, draw
from geocompose.models.frozen_weights import BASE, put_back
from geocompose.runs import Record, RunFolder
from geocompose.runs.atomic import write_text
from geocompose.runs.epoch_rows import read_metrics
from geocompose.runs.fingerprint import hash_file
from geocompose.runs.run_log import COURSE
from geocompose.runs.watching import StoppedError, Watch
from geocompose.tasks.reconstruction import ReconstructionTask
from geocompose.training.compiling import compile_parts
from geocompose.training.epoch_lines import EpochLines
from geocompose.training.kept_features import kept_features
from geocompose.training.loggers import LoggedRun
from geocompose.training.logging_beside import Logs, hyperparameters
from geocompose.training.micro_batch import MicroBatch
from geocompose.training.open_defaults import decided
from geocompose.training.pace import Pace, note_devices
from geocompose.training.predictions import Predictions
from geocompose.training.scored import score_baselines, score_splits, score_whole_scenes
from geocompose.training.session import Session
from geocompose.training.waiting import DataWait
from geocompose.training.watched import WatchedRun

log = logging.getLogger("geocompose")

SPLITS_OF = {False: ["val"], True: ["val", "test"]}  # by whether the test split is opened


def compute(
    session: Session,
    folder: RunFolder,
    record: Record,
    together: AbstractContextManager[None],
    *,
    train: bool,
    resume: bool,
    test: bool,
    scenes: bool = False,
    predictions_mb: int | None = None,
    watch: Watch | None = None,
    brief: bool = False,
) -> None:
    """Train, score the best epoch, and fill `record` and the run's folder.

    together: within it other processes do their part (`accompany`). train: false where the folder holds a trained
    model, of which only the scores are wanted. resume: continue from the folder's last checkpoint. test: open the test
    split. scenes: score its whole scenes too, where pixels have labels. predictions_mb: see `Predictions`.
    watch: who follows the run. brief: what is shown of the model is a line.

    Raises:
        StoppedError: the watch has stopped it at the end of an epoch.
    """
    _describe(session, record)
    console.show_summary(session.summary, session.built.plan.necks, brief=brief)
    logs = _logs(session, folder, record)
    with logs.ended():
        with together:
            counts, predictions = _train_and_score(
                session, folder, record, logs,
                train=train, resume=resume, test=test, predictions_mb=predictions_mb, watch=watch,
            )  # fmt: skip
        session.data.share(Share())  # the rest is this process's alone
        _finish(session, folder, record, counts, predictions, test=test, scenes=scenes)
        logs.finish(session.trainer, folder.figures)


def _describe(session: Session, record: Record) -> None:
    """Record what the run is of: data, weights, model, and what the configuration left open."""
    record.data |= session.data.describe()
    record.weights |= contract_of(session.built.model.encoder).weights or {}
    record.model |= session.summary.as_record()
    record.training |= session.decided
    necks = session.built.plan.necks
    # Others are objects of the user's, which their configuration names.
    if all(isinstance(neck, Mapping) for neck in necks):
        record.model["necks"] = list(necks)
    record.defaults = decided(session.config, record, session.trainer)


def _logs(session: Session, folder: RunFolder, record: Record) -> Logs:
    key = f"{record.run_id}-{''.join(letter for letter in record.started or '' if letter.isdigit())}"
    study, metric = str(session.config["study"]), session.task.selection[0]
    return Logs(
        session.make_logger,
        lambda step: LoggedRun(folder.path, study, key, step, record.loggers),
        record,
        session.metrics,
        (hyperparameters(session.config, record.choices), [metric, metric.replace("val/", "test/")]),
    )


def _train_and_score(
    session: Session,
    folder: RunFolder,
    record: Record,
    logs: Logs,
    *,
    train: bool,
    resume: bool,
    test: bool,
    predictions_mb: int | None,
    watch: Watch | None,
) -> tuple[Mapping[str, np.ndarray], Predictions]:
    """Train and score the best epoch; return what each tile counts, by split, and what was said of the test tiles."""
    data, task, trainer = session.data, session.task, session.trainer
    folder.save(record)
    write_text(folder.splits, tile_table(data))
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()

    if session.config["trainer"].get("compile"):
        compile_parts(session.built.model)
    micro_batch = session.config["trainer"].get("micro_batch")
    if micro_batch is not None:
        # Before StepSeed, whose random numbers are the step's.
        trainer.callbacks.insert(0, MicroBatch(micro_batch, record.training))  # type: ignore[attr-defined]
    pace = Pace(record, lambda: folder.save(record))
    # Lightning calls checkpoint callbacks last, wherever they stand.
    lines = EpochLines(session.metrics, pace, task.selection)
    trainer.callbacks += [logs, pace, DataWait(record, data), lines]  # type: ignore[attr-defined]
    watched = None if watch is None else WatchedRun(watch, session.metrics, task.selection[0])
    if watched is not None:
        trainer.callbacks.append(watched)  # type: ignore[attr-defined]
    # What is only scored needs each sample's features once.
    kept = kept_features(session.config, data, task, trainer, record, SPLITS_OF[test]) if train else nullcontext()
    with kept:
        if train:
            trainer.fit(task, datamodule=data, ckpt_path=folder.resumable if resume else None)
            if watched is not None and watched.stop is not None:
                raise StoppedError(watched.stop)
            record.training |= {"epochs": trainer.current_epoch, "steps": trainer.global_step, "finished": True}
            folder.save(record)
        else:
            with beside_the_run("The logger", record):
                logs.open(trainer, int(record.training.get("steps") or 0))
        best = _take_best(session, folder, None if train else record.training.get("best_sha256"), trained=not train)
        if BASE in best:
            record.weights["base"] = best[BASE]
        record.training["best_epoch"] = best["epoch"]
        record.training["selected_by"] = session.task.selection[0]
        _tell_convergence(record, trainer)
        record.training["best_sha256"] = hash_file(folder.best)
        record.training["best_bytes"] = folder.best.stat().st_size
        predictions = Predictions(task.target, data.num_tiles("test"), predictions_mb)
        trainer.callbacks.append(predictions)  # type: ignore[attr-defined]
        return score_splits(trainer, task, data, SPLITS_OF[test], folder, record), predictions


def _finish(
    session: Session,
    folder: RunFolder,
    record: Record,
    counts: Mapping[str, np.ndarray],
    predictions: Predictions,
    *,
    test: bool,
    scenes: bool,
) -> None:
    """Do what needs no other process once a run is scored: predictions, whole scenes, baselines and figures."""
    data, task, trainer = session.data, session.task, session.trainer
    note_devices(record)
    if test:
        with beside_the_run(folder.predictions.name, record):
            predictions.write(folder.predictions)
    if test and scenes and task.target.kind in MAPPED:
        with beside_the_run("The scores of whole scenes", record):
            score_whole_scenes(trainer, task, data, record)
    if test and task.target.mean == data.target.mean:  # else the model's numbers have no unit to compare in
        score_baselines(data, folder, record)
    with beside_the_run("The figures", record):
        _draw_figures(session, folder, record, counts)


def _draw_figures(session: Session, folder: RunFolder, record: Record, counts: Mapping[str, np.ndarray]) -> None:
    task, best_epoch = session.task, record.training["best_epoch"]
    metrics, place = read_metrics(folder.metrics), folder.figures / "curves.png"
    learning_curves(metrics, place, best_epoch=best_epoch, selection=task.selection[0])
    masking = task.masking if isinstance(task, ReconstructionTask) else None
    split = "test" if "test" in counts else "val"
    draw(folder.figures, Answering(task.model, task.target, masking), session.data, split, counts[split])


def accompany(session: Session, folder: RunFolder, *, train: bool, resume: bool, test: bool) -> None:
    """Do another process's part of `compute`: nothing is written."""
    trainer = session.trainer
    if session.config["trainer"].get("compile"):
        compile_parts(session.built.model)
    if train:
        trainer.fit(session.task, datamodule=session.data, ckpt_path=folder.resumable if resume else None)
    _take_best(session, folder, None, trained=not train)
    for split in SPLITS_OF[test]:
        {"val": trainer.validate, "test": trainer.test}[split](session.task, datamodule=session.data, verbose=False)


def _take_best(session: Session, folder: RunFolder, sha256: str | None, *, trained: bool) -> dict[str, Any]:
    """Give the model the best epoch's weights; return the checkpoint."""
    if not folder.best.is_file():
        if trained:
            raise UserError(f"{folder.best} is missing, and the run is trained. {PUT_BACK}")
        raise UserError(
            f"No epoch had a {session.task.selection[0]}: the validation split has no label. Check data.split."
        )
    best = put_back(read_best(folder.best, sha256), session.task.model, folder.best)
    session.task.load_state_dict(best["state_dict"])
    # The averaging callback would put the last epoch's average in place of the best one.
    session.trainer.callbacks = [  # type: ignore[attr-defined]
        callback
        for callback in session.trainer.callbacks  # type: ignore[attr-defined]
        if not isinstance(callback, WeightAveraging)
    ]
    return best


def _tell_convergence(record: Record, trainer: lightning.Trainer) -> None:
    """Record, and say, whether the best epoch was the last one that was validated: longer training may be better."""
    every = trainer.check_val_every_n_epoch or 1
    last = record.training["epochs"] // every * every - 1
    record.training["converged"] = record.training["best_epoch"] < last
    if not record.training["converged"]:
        COURSE.info("The best epoch is the last one: not converged. More epochs (trainer.max_epochs) may do better.")


@contextmanager
def beside_the_run(what: str, record: Record) -> Iterator[None]:
    """Let the block make something beside a trained run; where it can't, that is said and recorded."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, the model and its scores stand
        reason = in_one_line(error)
        log.warning("%s could not be made (%s); the run and its scores are complete without.", what, reason)
        record.training.setdefault("left_out", []).append(f"{what}: {reason}")
