"""What is counted for each tile: every valid pixel and image once, whatever the batch, in full precision."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from geocompose.imagery.samples import Target
from geocompose.scores import SCORES, confusion_matrix, multilabel_counts, regression_sums
from geocompose.tasks.confusion import TileConfusion
from geocompose.tasks.counting import count_tiles, is_labelled, labels, predicted
from geocompose.tasks.decisions import TileDecisions
from geocompose.tasks.sums import TileSums, _of_who_saw_it

IGNORE = -1
NAN = float("nan")


def classes(count: int = 7, shape: tuple[int, ...] = (6, 5)) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    label = torch.randint(IGNORE, 3, (count, *shape), generator=draw)
    return torch.randint(0, 3, (count, *shape), generator=draw), label


def measured(shape: tuple[int, ...], count: int = 7) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(2)
    label = 300 + 20 * torch.randn(count, *shape, generator=draw)
    label[torch.rand(label.shape, generator=draw) < 0.2] = NAN
    return label.nan_to_num(0) + torch.randn(label.shape, generator=draw), label


def batches(size: int, count: int = 7) -> tuple[Tensor, ...]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(3)).split(size)


@pytest.mark.parametrize("shape", [(6, 5), ()])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_tiles_matrix_is_numpys_whatever_the_batch(size, shape):
    said, label = classes(shape=shape)
    metric = TileConfusion(7, 3, IGNORE)
    for places in batches(size):
        metric.update(said[places], label[places], places)
    counted = metric.compute().numpy()
    assert counted.dtype == np.int64
    for place in range(7):
        valid = (label[place] != IGNORE).numpy()
        expected = confusion_matrix(label[place].numpy()[valid], said[place].numpy()[valid], 3)
        assert np.array_equal(counted[place], expected)
    assert counted.sum() == int((label != IGNORE).sum())


def test_rows_are_the_truth_and_columns_the_prediction():
    metric = TileConfusion(1, 3, 255)
    metric.update(torch.tensor([[[2, 2, 1]]]), torch.tensor([[[0, 2, 255]]]), torch.tensor([0]))
    assert metric.compute()[0].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_decisions_are_numpys_whatever_the_batch(size):
    draw = torch.Generator().manual_seed(4)
    label, said = (torch.randint(low, 2, (7, 4), generator=draw) for low in (-1, 0))
    metric = TileDecisions(7, 4)
    for places in batches(size):
        metric.update(said[places].bool(), label[places], places)
    counted = metric.compute().numpy()
    for place in range(7):
        assert np.array_equal(counted[place], multilabel_counts(label[[place]].numpy(), said[[place]].numpy()))


@pytest.mark.parametrize("shape", [(2, 4, 5), (1, 4, 5), (2,), (1,)])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_sums_are_numpys_whatever_the_batch(size, shape):
    said, label = measured(shape)
    metric = TileSums(7, shape[0])
    for places in batches(size):
        metric.update(said[places], label[places], places)
    counted = metric.compute().numpy()
    assert counted.dtype == np.float64
    for place in range(7):
        rows = (numbers[place].reshape(shape[0], -1).T.numpy() for numbers in (label, said))
        np.testing.assert_allclose(counted[place], regression_sums(*rows), rtol=1e-12)


@pytest.mark.parametrize(
    ("metric", "said", "label"),
    [
        (TileConfusion(7, 3, IGNORE), *classes()),
        (TileDecisions(7, 4), torch.ones(7, 4), torch.arange(28).view(7, 4) % 3 - 1),
        (TileSums(7, 2), *measured((2, 4, 5))),
    ],
)
def test_a_tile_that_is_seen_again_counts_once(metric, said, label):
    everything = torch.arange(7)
    metric.update(said, label, everything)
    once = metric.compute().clone()
    metric.update(said[:2], label[:2], everything[:2])
    twice = torch.tensor([3, 3])  # twice in one batch
    metric.update(said[twice], label[twice], twice)
    assert torch.equal(metric.compute(), once)
    metric.reset()
    assert metric.per_tile.sum() == 0


def test_sums_stay_in_double_precision_in_a_model_of_lower_precision():
    holder = nn.ModuleDict({"sums": TileSums(3, 1)}).to(torch.bfloat16).half()
    assert holder["sums"].per_tile.dtype == torch.float64
    holder["sums"].update(
        torch.full((1, 1, 4), 1001.0, dtype=torch.bfloat16), torch.full((1, 1, 4), 1000.0), torch.tensor([1])
    )
    assert holder["sums"].compute()[1, 0, 2] == 4e6
    assert TileSums(3, 1).to("meta").per_tile.device.type == "meta"


def test_sums_of_several_processes_are_each_tiles_own_even_where_they_are_negative():
    first, second = TileSums(3, 1), TileSums(3, 1)
    first.update(torch.tensor([[1.0], [2.0]]), torch.tensor([[5.0], [2.5]]), torch.tensor([0, 2]))
    second.update(torch.tensor([[7.0], [2.0]]), torch.tensor([[5.0], [2.5]]), torch.tensor([1, 2]))
    merged = _of_who_saw_it(torch.stack([first.compute(), second.compute()]))
    assert merged[:, 0, 3].tolist() == [-4.0, 2.0, -0.5]
    assert merged[:, 0, 0].tolist() == [1, 1, 1]


TARGETS = {
    "segmentation": Target("segmentation", ("a", "b", "c")),
    "classification": Target("classification", ("a", "b", "c")),
    "multilabel": Target("multilabel", ("a", "b", "c")),
    "regression": Target("regression", ("x", "y"), mean=(100.0, 0.0), std=(10.0, 2.0)),
    "scalar_regression": Target("scalar_regression", ("x",), mean=(100.0,), std=(10.0,)),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_outputs_are_read_counted_and_scored_for_every_kind_of_target(kind):
    target = TARGETS[kind]
    space = (4, 4) if target.pixel_wise else ()
    output = torch.randn(5, *(() if kind == "scalar_regression" else (target.num_outputs,)), *space)
    said = predicted(output, target)
    if kind == "scalar_regression":
        truth = said.squeeze(1)
    elif kind == "multilabel":
        truth = said.long()
    else:
        truth = said
    batch = {"mask" if target.pixel_wise else "label": truth}
    counts = count_tiles(target, 5)
    counts.update(said, labels(batch, target), torch.arange(5))
    scores = SCORES[target.kind](counts.compute().sum(dim=0).numpy(), target.names)
    assert is_labelled(labels(batch, target), target).all()
    if target.of_classes:
        assert scores["accuracy_micro"] == scores["F1_macro"] == 1
    else:
        assert scores["RMSE"] == 0
        assert scores["R2"] == 1


def test_predictions_of_numbers_are_in_the_physical_unit():
    output = torch.tensor([[[0.0, 1.0]], [[-1.0, 2.0]]])
    target = Target("regression", ("x",), mean=(100.0,), std=(10.0,))
    assert predicted(output, target).tolist() == [[[[100.0, 110.0]]], [[[90.0, 120.0]]]]
    two = Target("scalar_regression", ("x", "y"), mean=(100.0, 0.0), std=(10.0, 2.0))
    assert predicted(torch.tensor([[1.0, 1.0]]).bfloat16(), two).tolist() == [[110.0, 2.0]]


def test_of_equal_classes_the_first_is_predicted():
    logits = torch.randint(0, 3, (2, 5, 9, 9), generator=torch.Generator().manual_seed(0)).float()
    assert torch.equal(predicted(logits, TARGETS["segmentation"]), logits.argmax(dim=1))
    assert predicted(torch.zeros(1, 4, 1, 1), TARGETS["segmentation"]).item() == 0


def test_a_class_is_decided_for_from_a_probability_of_one_half_on():
    assert predicted(torch.tensor([[-0.1, 0.0, 3.0]]), TARGETS["multilabel"]).tolist() == [[False, True, True]]


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("segmentation", [[[0, IGNORE]]], [[[True, False]]]),
        ("classification", [2, IGNORE], [True, False]),
        ("multilabel", [[1, 0, -1]], [[True, True, False]]),
        ("scalar_regression", [0.0, NAN], [True, False]),
    ],
)
def test_what_has_no_label_is_known(kind, given, expected):
    assert is_labelled(torch.tensor(given), TARGETS[kind]).tolist() == expected
