"""A trained model's scores, and the files of what they were computed from."""

from collections.abc import Sequence

import lightning
import numpy as np
import torch
from torch import Tensor

from geocompose.data.baselines.rules import count_baselines
from geocompose.data.module import SceneData
from geocompose.inference.scene_scoring import score_scenes
from geocompose.runs import Record, RunFolder
from geocompose.runs.arrays import write_arrays
from geocompose.tasks.base import Task


def score_splits(
    trainer: lightning.Trainer, task: Task, data: SceneData, splits: Sequence[str], folder: RunFolder, record: Record
) -> dict[str, np.ndarray]:
    """Score the task's model on `val` and `test`, as far as `splits` names them; return what each tile counts.

    Fills the record's metrics, and writes the counts (confusion.npz or tile_sums.npz, calibration.npz, and
    of two classes thresholds.npz).
    """
    run = {"val": trainer.validate, "test": trainer.test}
    for split in splits:
        logged = run[split](task, datamodule=data, verbose=False)[0]
        exact = {f"{split}/{name}": value for name, value in task.scores(split).items()}  # Lightning logs in float32
        record.metrics |= {**{name: float(value) for name, value in logged.items()}, **exact}
    counts = {split: task.tile_counts(split).numpy() for split in splits}
    write_arrays(folder.confusion if task.target.of_classes else folder.tile_sums, counts)
    if task.target.of_classes:
        bins = {split: task.tile_calibration(split) for split in splits}
        write_arrays(folder.calibration, {split: one for split, one in bins.items() if one is not None})
        histograms = {split: task.tile_thresholds(split) for split in splits}
        of_two = {split: one for split, one in histograms.items() if one is not None}
        if of_two:
            write_arrays(folder.thresholds, of_two)
    return counts


def score_whole_scenes(trainer: lightning.Trainer, task: Task, data: SceneData, record: Record) -> None:
    """Score the map that the task's model makes of the test scenes (see `geocompose.inference.scene_scoring`)."""
    device = trainer.strategy.root_device
    task.to(device).eval()
    dtype = next(task.parameters()).dtype  # trainer.precision=bf16-true

    def output(images: Tensor, **coordinates: Tensor) -> Tensor:
        with torch.inference_mode():
            beside = {name: value.to(device) for name, value in coordinates.items()}
            return task(images.to(device, dtype), **beside)

    found = score_scenes(output, data, "test", data.target)
    record.metrics |= {f"test/{name}": value for name, value in found.metrics.items()}
    record.training["scene_scores"] = found.described


def score_baselines(data: SceneData, folder: RunFolder, record: Record) -> None:
    """Score what the data's baselines say of the test split, and write their counts."""
    baselines = count_baselines(data, data.baselines)
    record.baselines = [baseline.as_record(data.target) for baseline in baselines]
    write_arrays(folder.baselines, {one.name: one.per_tile for one in baselines if one.per_tile is not None})
