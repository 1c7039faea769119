"""Scoring a model on a split: counted tile by tile and pooled by the same functions as in training."""

from dataclasses import replace

import torch
from torch import nn

from geocompose.data.module import SceneData
from geocompose.imagery.coordinates import coordinates_of
from geocompose.imagery.samples import Target
from geocompose.inference.device import best_device
from geocompose.tasks.counting import labels
from geocompose.tasks.split_counts import SplitCounts


def score(model: nn.Module, data: SceneData, split: str, target: Target) -> dict[str, float]:
    """Return the metrics of `model` on all that is labelled in a split; see `count_split`."""
    return count_split(model, data, split, target).scores()


def count_split(model: nn.Module, data: SceneData, split: str, target: Target) -> SplitCounts:
    """Return what `model` says of all that is labelled in a split (train, val or test), counted tile by tile in order.

    target: the trained model's, which says how its output is read; of `data` comes only which labels are ignored.
        Errors of numbers are in the labels' physical unit.
    """
    assert (target.kind, target.names) == (data.target.kind, data.target.names), (target, data.target)
    target = replace(target, ignore_index=data.target.ignore_index)
    device = best_device()
    model = model.to(device).eval()
    counts = SplitCounts(target, data.num_tiles(split)).to(device)
    with torch.inference_mode():
        for batch in data.in_order(split):
            beside = {name: value.to(device) for name, value in coordinates_of(batch).items()}
            output = model(batch["image"].to(device), **beside).output
            counts.update(output, labels(batch, target).to(device), batch["tile"].to(device))
    return counts
