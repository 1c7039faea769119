"""The pictures of a run, drawn from its metrics and its best model."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.utils.data import default_collate

from geocompose.data.module import SceneData
from geocompose.figures.confusion_matrix import confusion
from geocompose.figures.display import display_image
from geocompose.figures.learning_curves import learning_curves
from geocompose.figures.sample_predictions import Sample, sample_predictions
from geocompose.runs import RunFolder
from geocompose.tasks.segmentation import SegmentationTask

NUM_SAMPLES = 4


def draw(
    folder: RunFolder,
    task: SegmentationTask,
    data: SceneData,
    per_tile: Mapping[str, np.ndarray],
    epochs: Sequence[Mapping[str, float]],
    *,
    best_epoch: int,
) -> None:
    """Draw learning curves, a confusion matrix and sample predictions into the run's figures.

    per_tile: each scored split's confusion matrices of its tiles; the pictures show the test split if it is there.
    """
    split = "test" if "test" in per_tile else "val"
    matrices = per_tile[split]
    metric, _ = task.selection
    learning_curves(epochs, folder.figures / "curves.png", best_epoch=best_epoch, selection=metric)
    confusion(matrices.sum(axis=0), data.class_names, folder.figures / "confusion.png", f"{split} split")
    samples = _samples(task, data, split, matrices)
    sample_predictions(samples, data.class_names, data.ignore_index, folder.figures / "samples.png")


def _samples(task: SegmentationTask, data: SceneData, split: str, per_tile: np.ndarray) -> list[Sample]:
    chosen = spread(per_tile, NUM_SAMPLES)
    dataset = data.in_order(split).dataset
    batch = default_collate([dataset[index] for index in chosen])
    task.eval()
    with torch.inference_mode():
        images = batch["image"].to(task.device, next(task.parameters()).dtype)  # trainer.precision=bf16-true
        predicted = task(images).argmax(dim=1).cpu().numpy()
    mean, std = (np.asarray(values, dtype=np.float32).reshape(-1, 1, 1) for values in (data.mean, data.std))
    samples: list[Sample] = []
    for place, index in enumerate(chosen):
        raw = batch["image"][place].numpy() * std + mean
        samples.append(
            {
                "image": display_image(raw, data.bands),
                "label": batch["mask"][place].numpy(),
                "prediction": predicted[place],
                "title": f"{split} tile {index}",
            }
        )
    return samples


def spread(per_tile: np.ndarray, count: int) -> list[int]:
    """Return up to `count` tiles from the worst to the best, evenly spread, among those that are mostly labelled."""
    labelled = per_tile.sum(axis=(1, 2))
    candidates = np.flatnonzero(labelled >= 0.5 * labelled.max())
    right = np.trace(per_tile, axis1=1, axis2=2)[candidates] / labelled[candidates]
    ranked = candidates[np.argsort(right, kind="stable")]
    places = np.unique(np.linspace(0, len(ranked) - 1, count).round().astype(int))
    return [int(ranked[place]) for place in places]
