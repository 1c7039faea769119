"""A step that is scored asks no tensor for its numbers: an accelerator would be waited for each time."""

import pytest
import torch
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode

from geocompose.tasks.class_losses import segmentation_loss
from geocompose.tasks.counting import is_labelled
from geocompose.tasks.split_counts import SplitCounts
from geocompose.tasks.split_losses import SplitLosses
from tests.kit.tiny_tasks import TARGETS


@pytest.mark.parametrize("kind", TARGETS)
def test_counts_are_made_of_tensors_without_numbers(kind):
    target = TARGETS[kind]
    with FakeTensorMode():
        counts = SplitCounts(target, 6)
        size = (4, 8, 8) if target.pixel_wise else (4,)
        if target.of_classes:
            output = torch.randn(size[0], target.num_outputs, *size[1:])
            labels = torch.randint(0, 2, output.shape if kind == "multilabel" else size)
        else:
            output, labels = torch.randn(size), torch.randn(size[0], 1, *size[1:])
        counts.update(output, labels, torch.arange(4))
        SplitLosses().add("loss", output.sum(), is_labelled(labels, target).sum())


def test_cross_entropy_is_made_of_tensors_without_numbers():
    with FakeTensorMode():
        loss = segmentation_loss("ce", 3, -1, None, 0.0)
        loss(torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8)))


def test_the_check_sees_a_question():
    with pytest.raises(DynamicOutputShapeException), FakeTensorMode():
        torch.bincount(torch.ones(3).nonzero())


def test_losses_are_means_over_labels():
    losses = SplitLosses()
    for loss, count in ((1.0, 3), (float("nan"), 0), (2.0, 1)):
        losses.add("val/loss", torch.tensor(loss), torch.tensor(count))
    losses.add("val/other", torch.tensor(0.0), torch.tensor(0))
    assert {name: float(mean) for name, mean in losses.means().items()} == {"val/loss": 1.25}
    losses.reset()
    assert losses.means() == {}
