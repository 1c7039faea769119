"""Scores of a trained model on a split: pooled over all that is labelled, by training's own functions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from geocompose.imagery.samples import Target
from geocompose.inference import scoring
from geocompose.inference.scoring import score
from geocompose.models import ModelOutput
from geocompose.scores import SCORES, confusion_matrix, multilabel_counts, regression_sums
from tests.kit.calibrated import error_of_logits

NAMES = ("a", "b", "c")
TILES, SIDE = 7, 5


class Batches:
    """A split of random images, whose bands the model's output is, with labels that are partly unknown."""

    def __init__(self, target: Target, labels: torch.Tensor, images: torch.Tensor, batch_size: int) -> None:
        self.target, self.batch_size = target, batch_size
        self._tiles = {"image": images, "mask" if target.pixel_wise else "label": labels, "tile": torch.arange(TILES)}

    def num_tiles(self, split: str) -> int:
        return TILES

    def in_order(self, split: str) -> Iterator[dict[str, torch.Tensor]]:
        assert split == "test"
        for start in range(0, TILES, self.batch_size):
            yield {name: values[start : start + self.batch_size] for name, values in self._tiles.items()}


class Shows(nn.Module):
    """A model whose output is its image, for each pixel or averaged."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    def forward(self, image: torch.Tensor) -> ModelOutput:
        output = image if self.target.pixel_wise else image.mean(dim=(2, 3))
        return ModelOutput(output[:, 0] if self.target.num_outputs == 1 else output)


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(scoring, "best_device", lambda: torch.device("cpu"))


def example(kind: str, names: tuple[str, ...], ignore_index: int = -1) -> tuple[Target, torch.Tensor, torch.Tensor]:
    """Return a target, labels and images."""
    generator = np.random.default_rng(0)
    numbers = kind.endswith("regression")
    scaling: dict[str, Any] = {"mean": (100.0, -3.0, 7.0)[: len(names)], "std": (20.0, 0.5, 1.0)[: len(names)]}
    target = Target(kind, names, ignore_index, **(scaling if numbers else {}))
    images = torch.from_numpy(generator.normal(size=(TILES, len(names), SIDE, SIDE)).astype("float32"))
    size = (SIDE, SIDE) if target.pixel_wise else ()
    if numbers:
        labels = generator.normal(50, 30, (TILES, len(names), *size))
        labels[generator.random(labels.shape) < 0.2] = np.nan
        labels = labels[:, 0] if len(names) == 1 else labels
        return target, torch.from_numpy(labels.astype("float32")), images
    shape = (TILES, len(names)) if kind == "multilabel" else (TILES, *size)
    labels = generator.integers(0, 2 if kind == "multilabel" else len(names), shape)
    labels[generator.random(shape) < 0.2] = ignore_index
    return target, torch.from_numpy(labels), images


def by_definition(target: Target, labels: torch.Tensor, images: torch.Tensor) -> dict[str, float]:
    """Return the scores from all tiles at once, in numpy."""
    output, truth = images.numpy(), labels.numpy()
    if not target.pixel_wise:
        output = output.mean(axis=(2, 3))
    if target.kind == "multilabel":
        scores = SCORES[target.kind](multilabel_counts(truth, (output >= 0).astype(int)), target.names)
        return scores | {"ECE": error_of_logits(target.kind, output, truth)}
    if target.of_classes:
        known = truth != target.ignore_index
        counts = confusion_matrix(truth[known], output.argmax(axis=1)[known], len(target.names))
        error = error_of_logits(target.kind, output, truth, target.ignore_index)
        return SCORES[target.kind](counts, target.names) | {"ECE": error}
    truth = truth.reshape(output.shape)
    places = [np.moveaxis(values, 1, -1).reshape(-1, len(target.names)) for values in (truth, output)]
    physical = places[1].astype("float64") * target.std + target.mean
    return SCORES[target.kind](regression_sums(places[0], physical), target.names)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("segmentation", NAMES),
        ("regression", ("a",)),
        ("regression", NAMES),
        ("classification", NAMES),
        ("multilabel", NAMES),
        ("scalar_regression", ("a",)),
        ("scalar_regression", NAMES),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_scores_are_pooled_over_all_that_is_labelled_whatever_the_batch(kind, names, batch_size):
    target, labels, images = example(kind, names)
    found = score(Shows(target), Batches(target, labels, images, batch_size), "test", target)
    expected = by_definition(target, labels, images)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6, nan_ok=True), name


def test_the_output_is_read_by_the_trained_target_and_not_by_the_data_s():
    target, labels, images = example("regression", ("a",))
    other = Target("regression", ("a",), mean=(0.0,), std=(1.0,))
    found = score(Shows(target), Batches(other, labels, images, 3), "test", target)
    assert found["RMSE"] == pytest.approx(by_definition(target, labels, images)["RMSE"], rel=1e-6)


def test_the_data_says_which_labels_are_ignored():
    target, labels, images = example("segmentation", NAMES, ignore_index=255)
    trained = Target("segmentation", NAMES, -1)
    found = score(Shows(target), Batches(target, labels, images, 3), "test", trained)
    assert found["mIoU"] == pytest.approx(by_definition(target, labels, images)["mIoU"])
