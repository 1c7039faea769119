"""Scoring a model on a split: counted tile by tile and pooled by the same functions as in training."""

from dataclasses import replace

import torch
from torch import nn

from geocompose.data.module import SceneData
from geocompose.imagery.coordinates import coordinates_of
from geocompose.imagery.samples import Target
from geocompose.inference.device import best_device
from geocompose.tasks.counting import by_variable, labels
from geocompose.tasks.masking import Masking, fixed_noise, reconstruct
from geocompose.tasks.split_counts import SplitCounts


def score(model: nn.Module, data: SceneData, split: str, target: Target) -> dict[str, float]:
    """Return the metrics of `model` on all that is labelled in a split; see `count_split`."""
    return count_split(model, data, split, target).scores()


def count_split(
    model: nn.Module, data: SceneData, split: str, target: Target, masking: Masking | None = None
) -> SplitCounts:
    """Return what `model` says of all that is labelled in a split (train, val or test), counted tile by tile in order.

    target: the trained model's, which says how its output is read; of `data` comes only which labels are ignored.
        Errors of numbers are in the labels' physical unit. masking: what a reconstruction hides.
    """
    assert (target.kind, target.names) == (data.target.kind, data.target.names), (target, data.target)
    target = replace(target, ignore_index=data.target.ignore_index)
    target = target if masking is None else masking.scored(target)
    device = best_device()
    model = model.to(device).eval()
    counts = SplitCounts(target, data.num_tiles(split)).to(device)
    with torch.inference_mode():
        for batch in data.in_order(split):
            there = {name: value.to(device) for name, value in batch.items()}
            if masking is None:
                output, truth = model(there["image"], **coordinates_of(there)).output, labels(there, target)
            else:
                noise = fixed_noise(masking, model, there["image"], batch["tile"])
                returned, hidden = reconstruct(model, there, target, masking, noise)
                output, truth = returned.output, by_variable(hidden, target)
            counts.update(output, truth, there["tile"])
    return counts
