"""The segmentation task: losses by hand, every valid pixel counted once, and learning that works."""

from functools import partial
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from geocompose.assembly import task_kind
from geocompose.errors import UserError
from geocompose.models import PixelWiseModel
from geocompose.necks import NeckSequence
from geocompose.scores import confusion_matrix, from_confusion
from geocompose.tasks.confusion import TileConfusion
from geocompose.tasks.losses import build_loss
from geocompose.tasks.segmentation import SegmentationTask

IGNORE = -1


def loss_of(spec: Any, logits: Tensor, mask: Tensor, **changes: Any) -> Tensor:
    settings: dict[str, Any] = {
        "num_classes": logits.shape[1],
        "ignore_index": IGNORE,
        "class_weights": None,
        "label_smoothing": 0.0,
    }
    return build_loss(spec, **{**settings, **changes})(logits, mask)


def example(classes: int = 3) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    mask = torch.randint(0, classes, (2, 4, 5), generator=draw)
    mask[0, :2] = IGNORE
    return torch.randn(2, classes, 4, 5, generator=draw), mask


# Losses


def test_cross_entropy_is_the_mean_over_labelled_pixels():
    logits = torch.tensor([[[[0.0, 0.0, 9.0]], [[0.0, float(np.log(3)), 9.0]]]])
    mask = torch.tensor([[[0, 1, IGNORE]]])
    expected = (-np.log(1 / 2) - np.log(3 / 4)) / 2
    assert loss_of("ce", logits, mask).item() == pytest.approx(expected, rel=1e-6)


def test_class_weights_weigh_pixels_by_their_class():
    logits = torch.tensor([[[[0.0, 0.0]], [[0.0, float(np.log(3))]]]])
    mask = torch.tensor([[[0, 1]]])
    expected = (3 * -np.log(1 / 2) + 1 * -np.log(3 / 4)) / (3 + 1)
    assert loss_of("ce", logits, mask, class_weights=[3.0, 1.0]).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_torchs_own_mean(weights, smoothing):
    logits, mask = example()
    factors = None if weights is None else torch.tensor(weights)
    expected = F.cross_entropy(logits, mask, factors, ignore_index=IGNORE, label_smoothing=smoothing)
    torch.testing.assert_close(loss_of("ce", logits, mask, class_weights=weights, label_smoothing=smoothing), expected)


def test_dice_is_averaged_over_the_classes_that_labels_hold():
    half = torch.zeros(1, 3, 1, 3)
    half[:, 2] = -1e4  # a class that is neither labelled nor predicted
    mask = torch.tensor([[[0, 0, 1]]])
    first, second = 2 * 1.0 / (1.5 + 2), 2 * 0.5 / (1.5 + 1)
    assert loss_of("dice", half, mask).item() == pytest.approx(1 - (first + second) / 2, rel=1e-6)


def test_dice_leaves_unlabelled_pixels_out():
    logits, mask = example()
    other = logits.clone()
    other[(mask == IGNORE).unsqueeze(1).expand_as(other)] += 5 * torch.randn(int((mask == IGNORE).sum()) * 3)
    assert torch.equal(loss_of("dice", logits, mask), loss_of("dice", other, mask))
    assert torch.equal(loss_of("ce", logits, mask), loss_of("ce", other, mask))


def test_dice_is_nothing_where_all_is_right():
    mask = torch.tensor([[[0, 2], [1, IGNORE]]])
    logits = 1e4 * F.one_hot(mask.clamp(min=0), 3).movedim(-1, 1).float()
    assert loss_of("dice", logits, mask).item() == pytest.approx(0, abs=1e-6)


def test_a_weighted_sum_is_the_sum_of_its_weighted_parts():
    logits, mask = example()
    parts = {name: loss_of(name, logits, mask) for name in ("ce", "dice")}
    torch.testing.assert_close(loss_of({"ce": 0.25, "dice": 2.0}, logits, mask), 0.25 * parts["ce"] + 2 * parts["dice"])


@pytest.mark.parametrize("ignore", [-1, 255, 2])
@pytest.mark.parametrize("changes", [{}, {"class_weights": [1.0, 2.0, 3.0]}, {"label_smoothing": 0.1}])
@pytest.mark.parametrize("spec", ["ce", {"ce": 1.0, "dice": 1.0}])
def test_a_batch_without_any_label_costs_nothing_and_teaches_nothing(spec, changes, ignore):
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = loss_of(spec, logits, torch.full((2, 4, 4), ignore), ignore_index=ignore, **changes)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("spec", ["ce", "dice"])
def test_any_ignore_index_gives_the_same_loss(spec):
    logits, mask = example()
    other = mask.masked_fill(mask == IGNORE, 255)
    assert torch.equal(loss_of(spec, logits, mask), loss_of(spec, logits, other, ignore_index=255))


@pytest.mark.parametrize("spec", ["ce", "dice"])
def test_losses_are_computed_in_full_precision(spec):
    logits, mask = example()
    assert loss_of(spec, logits.bfloat16(), mask).dtype == torch.float32


@pytest.mark.parametrize(
    ("spec", "changes", "message"),
    [
        ("dise", {}, "task.loss has no loss 'dise'. Did you mean 'dice'"),
        ({"ce": 0.5, "focal": 0.5}, {}, "no loss 'focal'. Allowed: ce, dice"),
        ({"ce": -1.0}, {}, "weights are above 0; got -1.0 for ce"),
        ({"ce": float("nan")}, {}, "weights are above 0; got nan for ce"),
        ({}, {}, "task.loss names no loss"),
        ("ce", {"class_weights": [1.0, 2.0]}, "one factor a class: 3 here, got 2"),
        ("dice", {"class_weights": [1.0, 2.0, 3.0]}, "class_weights belong to the loss ce"),
        ("ce", {"label_smoothing": 1.0}, "label_smoothing is from 0 to below 1; got 1.0"),
    ],
)
def test_a_loss_that_cannot_be_is_refused(spec, changes, message):
    with pytest.raises(UserError, match=message):
        loss_of(spec, *example(), **changes)


# The confusion matrices


def tiles(count: int = 7, classes: int = 3) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    mask = torch.randint(IGNORE, classes, (count, 6, 5), generator=draw)
    return torch.randint(0, classes, (count, 6, 5), generator=draw), mask


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_a_tiles_matrix_is_numpys_whatever_the_batch(batch):
    predicted, mask = tiles()
    metric = TileConfusion(7, 3, IGNORE)
    for places in torch.randperm(7, generator=torch.Generator().manual_seed(2)).split(batch):
        metric.update(predicted[places], mask[places], places)
    counted = metric.compute().numpy()
    assert counted.dtype == np.int64
    for place in range(7):
        valid = (mask[place] != IGNORE).numpy()
        expected = confusion_matrix(mask[place].numpy()[valid], predicted[place].numpy()[valid], 3)
        assert np.array_equal(counted[place], expected)
    assert counted.sum() == int((mask != IGNORE).sum())


def test_a_tile_that_is_seen_again_counts_once():
    predicted, mask = tiles()
    metric = TileConfusion(7, 3, IGNORE)
    everything = torch.arange(7)
    metric.update(predicted, mask, everything)
    once = metric.compute().clone()
    metric.update(predicted[:2], mask[:2], everything[:2])
    twice = torch.tensor([3, 3])  # twice in one batch
    metric.update(predicted[twice], mask[twice], twice)
    assert torch.equal(metric.compute(), once)
    metric.reset()
    assert metric.per_tile.sum() == 0


def test_rows_are_the_truth_and_columns_the_prediction():
    metric = TileConfusion(1, 3, 255)
    metric.update(torch.tensor([[[2, 2, 1]]]), torch.tensor([[[0, 2, 255]]]), torch.tensor([0]))
    assert metric.compute()[0].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 1]]


# The task


class Passing(nn.Module):
    def forward(self, given: Any) -> Any:
        return [given] if isinstance(given, Tensor) else given[0]


def pixel_model(bands: int = 2, classes: int = 3) -> PixelWiseModel:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(bands, 8, 1), nn.ReLU(), Passing())
    return PixelWiseModel(
        encoder=encoder, neck=NeckSequence(), decoder=Passing(), head=nn.Conv2d(8, classes, 1), pad_multiple=1
    )


def task(model: PixelWiseModel | None = None, **changes: Any) -> SegmentationTask:
    arguments: dict[str, Any] = {
        "model": model or pixel_model(),
        "optimizer": partial(torch.optim.AdamW, lr=0.05),
        "scheduler": partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
        "class_names": ["land", "water", "cloud"],
        "ignore_index": IGNORE,
        "num_tiles": {"val": 5, "test": 5},
    }
    return SegmentationTask(**{**arguments, **changes})


def learnable(count: int) -> list[dict[str, Tensor]]:
    """Return tiles whose class follows from their two bands, a few pixels without label, one tile without any."""
    draw = torch.Generator().manual_seed(3)
    image = torch.randn(count, 2, 8, 8, generator=draw)
    mask = (image[:, 0] > 0).long() + (image[:, 1] > 0.5).long()
    mask[:, 0, 0] = IGNORE
    mask[-1] = IGNORE
    return [{"image": image[n], "mask": mask[n], "tile": torch.tensor(n)} for n in range(count)]


def trainer(epochs: int) -> lightning.Trainer:
    return lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*number of training batches.*", "ignore:.*logger.*"
)
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*lr_scheduler.step.*")
def test_a_small_fit_improves_and_scores_do_not_depend_on_the_batch():
    learner, held_out = task(loss={"ce": 0.5, "dice": 0.5}), learnable(5)
    quiet = trainer(epochs=8)
    before = quiet.validate(learner, DataLoader(held_out, batch_size=2), verbose=False)[0]
    quiet.fit(learner, DataLoader(learnable(12), batch_size=4), DataLoader(held_out, batch_size=2))
    after = quiet.validate(learner, DataLoader(held_out, batch_size=2), verbose=False)[0]
    assert after["val/mIoU"] > before["val/mIoU"] + 0.2
    assert after["val/loss"] < before["val/loss"]
    again = quiet.validate(learner, DataLoader(held_out, batch_size=5), verbose=False)[0]
    assert {name: value for name, value in again.items() if name != "val/loss"} == {
        name: value for name, value in after.items() if name != "val/loss"
    }
    matrix = learner.tile_confusion("val")
    assert matrix.shape == (5, 3, 3)
    assert matrix[4].sum() == 0
    expected = from_confusion(matrix.sum(dim=0).numpy(), ["land", "water", "cloud"])
    assert dict(learner.scores("val")) == expected
    assert after["val/mIoU"] == pytest.approx(expected["mIoU"])


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*", "ignore:.*number of training batches.*", "ignore:.*LeafSpec.*"
)
def test_a_loss_that_is_no_number_stops_the_run():
    broken = pixel_model()
    with torch.no_grad():
        broken.head.weight.fill_(float("nan"))
    with pytest.raises(UserError, match=r"The training loss is nan in epoch 0. Lower optimizer.lr"):
        trainer(epochs=1).fit(task(broken), DataLoader(learnable(4), batch_size=2), DataLoader(learnable(5)))


def test_the_optimizer_holds_only_what_learns():
    frozen = task(freeze_backbone=True)
    optimizer = frozen.configure_optimizers()["optimizer"]
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in frozen.model.head.parameters()}
    assert not frozen.model.train().encoder.training


def test_freezing_everything_is_refused():
    with pytest.raises(UserError, match="Nothing is left to learn"):
        task(freeze_backbone=True, freeze_decoder=True, freeze_head=True)


def test_the_state_dict_of_a_task_is_that_of_its_model():
    weighted = task(class_weights=[1.0, 2.0, 3.0])
    assert set(weighted.state_dict()) == {f"model.{name}" for name in weighted.model.state_dict()}


def test_our_tasks_are_of_the_kind_that_their_modules_are_named_after():
    assert task_kind("geocompose.tasks.segmentation.SegmentationTask") == SegmentationTask.kind
