"""Scoring a model on a split by one confusion matrix."""

import torch
from torch import nn

from geocompose.data.module import SceneData
from geocompose.inference.device import best_device
from geocompose.scores import from_confusion
from geocompose.tasks.confusion import TileConfusion


def score(model: nn.Module, data: SceneData, split: str) -> dict[str, float]:
    """Return the metrics of `model` on all labelled pixels of a split (train, val or test), tile by tile in order."""
    device = best_device()
    model = model.to(device).eval()
    counts = TileConfusion(data.num_tiles(split), data.num_classes, data.ignore_index).to(device)
    with torch.inference_mode():
        for batch in data.in_order(split):
            logits = model(batch["image"].to(device)).output
            counts.update(logits.argmax(dim=1), batch["mask"].to(device), batch["tile"].to(device))
    return from_confusion(counts.compute().sum(dim=0).cpu().numpy(), data.class_names)
