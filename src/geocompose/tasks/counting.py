"""What an output says and how it is counted, for each kind of target: the same for training, evaluation and maps."""

from collections.abc import Mapping

import torch
from torch import Tensor

from geocompose.imagery.samples import Target
from geocompose.tasks.confusion import TileConfusion
from geocompose.tasks.decisions import TileDecisions
from geocompose.tasks.sums import TileSums

TileCounts = TileConfusion | TileDecisions | TileSums


def count_tiles(target: Target, num_tiles: int) -> TileCounts:
    """Return what counts a split of so many tiles: `update(predicted(...), labels(...), batch["tile"])`.

    `compute()` is a count per tile; summed over tiles, `geocompose.scores.SCORES[target.kind]` takes it.
    """
    if not target.of_classes:
        return TileSums(num_tiles, target.num_outputs)
    if target.kind == "multilabel":
        return TileDecisions(num_tiles, target.num_outputs)
    return TileConfusion(num_tiles, target.num_outputs, target.ignore_index)


def predicted(output: Tensor, target: Target) -> Tensor:
    """Return what a model's output says.

    Segmentation and classification: the class (B, H, W) or (B), int64. Multilabel: (B, classes) bool, true from a
    probability of one half. Regression: (B, variables, H, W) or (B, variables) float32 in the physical unit.
    """
    if target.kind == "multilabel":
        return output >= 0  # a logit of 0 is a probability of one half
    if target.of_classes:
        # The first of equal ones, as argmax says, which takes ten times as long on a processor.
        return output.max(dim=1).indices
    assert target.mean is not None, "the target's mean and std are known after the data's setup"
    assert target.std is not None
    numbers = by_variable(output, target).float()
    mean, std = (per_variable(values, numbers) for values in (target.mean, target.std))
    # The output is in standard deviations of the training labels from their mean: see NumberTask.
    return numbers * std + mean


def labels(batch: Mapping[str, Tensor], target: Target) -> Tensor:
    """Return a batch's labels as `count_tiles` takes them: of numbers (B, variables, ...)."""
    given = batch["mask" if target.pixel_wise else "label"]
    return given if target.of_classes else by_variable(given, target)


def is_labelled(labels: Tensor, target: Target) -> Tensor:
    """Return where there is a label: bool, in the labels' shape."""
    if not target.of_classes:
        return ~labels.isnan()
    return labels >= 0 if target.kind == "multilabel" else labels != target.ignore_index


def by_variable(numbers: Tensor, target: Target) -> Tensor:
    """Return outputs or labels of numbers as (B, variables, ...); those of one variable come without that axis."""
    return numbers.unsqueeze(1) if target.num_outputs == 1 else numbers


def per_variable(values: tuple[float, ...], numbers: Tensor) -> Tensor:
    """Return a number per variable so that it broadcasts over `numbers` (B, variables, ...)."""
    return torch.tensor(values, device=numbers.device).view(-1, *[1] * (numbers.ndim - 2))
