"""Examples that losses are computed on, and losses built by their names."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from geocompose.imagery.samples import Target
from geocompose.tasks.class_losses import segmentation_loss

IGNORE = -1
SEGMENTATION = ("ce", "dice", "focal", "jaccard", "lovasz", "tversky")


def pixels(classes: int = 3) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    mask = torch.randint(0, classes, (2, 4, 5), generator=draw)
    mask[0, :2] = IGNORE
    return torch.randn(2, classes, 4, 5, generator=draw), mask


def decisions(classes: int = 3) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(2)
    label = torch.randint(0, 2, (6, classes), generator=draw)
    label[0, 0] = label[3] = -1
    return torch.randn(6, classes, generator=draw), label


def numbers(variables: int = 2) -> tuple[Tensor, Tensor, Target]:
    draw = torch.Generator().manual_seed(3)
    names = ("a", "b", "c")[:variables]
    target = Target("regression", names, mean=(100.0, -2.0, 0.0)[:variables], std=(20.0, 0.5, 3.0)[:variables])
    output = torch.randn(3, variables, 4, 5, generator=draw)
    label = torch.randn(3, variables, 4, 5, generator=draw) * 7 + 3
    label[0, 0, 1:] = float("nan")
    label[1] = float("nan")
    return (output, label, target) if variables > 1 else (output.squeeze(1), label.squeeze(1), target)


def of_pixels(spec: Any, logits: Tensor, mask: Tensor, ignore_index: int = IGNORE, **more: Any) -> Tensor:
    return segmentation_loss(spec, logits.shape[1], ignore_index, **more)(logits, mask)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))
