"""Tasks of every kind with models of a few weights and batches made by hand."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from geocompose.imagery.samples import Target
from geocompose.models import PixelWiseModel, ScalarOutputModel
from geocompose.necks import NeckSequence
from geocompose.tasks.base import Task
from geocompose.tasks.classification import ClassificationTask
from geocompose.tasks.multilabel import MultilabelTask
from geocompose.tasks.regression import RegressionTask
from geocompose.tasks.scalar_regression import ScalarRegressionTask
from geocompose.tasks.segmentation import SegmentationTask

TASKS: dict[str, type[Task]] = {
    task.kind: task
    for task in (SegmentationTask, RegressionTask, ClassificationTask, MultilabelTask, ScalarRegressionTask)
}
NAN = float("nan")
NAMES = ("land", "water", "cloud")
TARGETS = {
    "segmentation": Target("segmentation", NAMES),
    "classification": Target("classification", NAMES),
    "multilabel": Target("multilabel", NAMES),
    "regression": Target("regression", ("height",), mean=(300.0,), std=(20.0,)),
    "scalar_regression": Target("scalar_regression", ("height",), mean=(300.0,), std=(20.0,)),
}


class Passing(nn.Module):
    def forward(self, given: Any) -> Any:
        return [given] if isinstance(given, Tensor) else given[0]


class Pooled(nn.Sequential):
    def __init__(self, outputs: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, outputs))


def model(target: Target, aux: Sequence[str] = ()) -> PixelWiseModel | ScalarOutputModel:
    """Return a model of two bands, small enough to learn in a second."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(2, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU(), Passing())
    single = not target.of_classes and target.num_outputs == 1

    def head() -> nn.Module:
        return nn.Conv2d(8, target.num_outputs, 1) if target.pixel_wise else Pooled(target.num_outputs)

    build = PixelWiseModel if target.pixel_wise else ScalarOutputModel
    return build(
        encoder=encoder, neck=NeckSequence(), decoder=Passing(), head=head(), pad_multiple=1, single_output=single,
        aux_heads={name: (Passing(), head()) for name in aux},
    )  # fmt: skip


def task(kind: str = "segmentation", aux: Sequence[str] = (), **changes: Any) -> Task:
    """Return a task of a kind with its tiny model."""
    target = changes.pop("target", TARGETS[kind])
    arguments: dict[str, Any] = {
        "model": model(target, aux),
        "optimizer": partial(torch.optim.AdamW, lr=0.03),
        "scheduler": partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
        "target": target,
        "num_tiles": {"val": 5, "test": 5},
    }
    return TASKS[kind](**{**arguments, **changes})


def samples(kind: str, count: int, seed: int = 3) -> list[dict[str, Tensor]]:
    """Return tiles whose labels follow from their two bands; some pixels, and all of the last tile, have no label."""
    draw = torch.Generator().manual_seed(seed)
    image = torch.randn(count, 2, 8, 8, generator=draw) + 1.5 * torch.randn(count, 2, 1, 1, generator=draw)
    first, second = image[:, 0], image[:, 1]
    means = image.mean(dim=(2, 3))
    if kind == "segmentation":
        label = (first > 0).long() + (second > 0.5).long()
        label[:, 0, 0] = label[-1] = -1
    elif kind == "regression":
        label = 300 + 20 * (first - 0.5 * second)
        label[:, 0, 0] = label[-1] = NAN
    elif kind == "classification":
        label = (means[:, 0] > 0).long() + (means[:, 1] > 0.5).long()
        label[-1] = -1
    elif kind == "multilabel":
        label = torch.stack([means[:, 0] > 0, means[:, 1] > 0.3, means.sum(dim=1) > 0], dim=1).long()
        label[0, 1] = -1
        label[-1] = -1
    else:
        label = 300 + 20 * (means[:, 0] - 0.5 * means[:, 1])
        label[-1] = NAN
    key = "mask" if TARGETS[kind].pixel_wise else "label"
    return [{"image": image[n], key: label[n], "tile": torch.tensor(n)} for n in range(count)]


def loader(data: Sequence[dict[str, Tensor]], batch_size: int) -> DataLoader[Any]:
    """Return batches in order."""
    return DataLoader(data, batch_size=batch_size)  # type: ignore[arg-type]


def trainer(epochs: int, **changes: Any) -> lightning.Trainer:
    """Return a trainer that writes nothing and says nothing."""
    settings: dict[str, Any] = {
        "max_epochs": epochs, "accelerator": "cpu", "devices": 1, "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0,
    }  # fmt: skip
    return lightning.Trainer(**{**settings, **changes})
