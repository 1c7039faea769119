"""Losses of a user's own by `_target_`: what they are told, what they are given, and what is refused."""

import importlib
import json
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from geocompose.configuration.own_parts import open_own_parts
from geocompose.errors import UserError
from geocompose.imagery.samples import Target
from geocompose.tasks.class_losses import classification_loss, segmentation_loss
from geocompose.tasks.label_losses import multilabel_loss
from geocompose.tasks.number_losses import regression_loss
from geocompose.tasks.own_losses import left_open
from tests.kit.command import SMALL, composed_config, only_run, record_of, run
from tests.kit.own_modules import own_module

MODULE = '''
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Told(nn.Module):
    """Cross-entropy that remembers what it was told."""

    def __init__(
        self, ignore_index: int, num_classes: int, class_weights: list[float] | None = None, scale: float = 1.0
    ):
        super().__init__()
        self.told = ignore_index, num_classes, class_weights
        self.ignore_index, self.scale = ignore_index, scale

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.scale * F.cross_entropy(logits, labels, ignore_index=self.ignore_index)


class Learning(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return (self.scale * logits.sum()).squeeze()


class PerPixel(nn.Module):
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return logits.sum(1)


class Broken(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits.sum()


class Picky(nn.Module):
    def __init__(self, depth: int):
        super().__init__()
        raise ValueError(f"depth must be odd; got {depth}")


def squared(output: Tensor, labels: Tensor, root: bool = False) -> Tensor:
    known = ~labels.isnan()
    cost = (output[known] - labels[known]).square().mean()
    return cost.sqrt() if root else cost
'''


@pytest.fixture
def tried_loss(tmp_path, monkeypatch):
    with own_module(tmp_path, "tried_loss", MODULE, monkeypatch):
        yield importlib.import_module("tried_loss")


def logits_and_labels():
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 8, 8))
    labels[0, :4] = 255
    return torch.randn(2, 3, 8, 8, requires_grad=True), labels


def test_a_loss_is_told_what_its_constructor_asks_for_and_the_user_has_not_given(tried_loss):
    loss = segmentation_loss(partial(tried_loss.Told, scale=2.0), 3, 255, class_weights=[1.0, 2.0, 3.0])
    assert loss.loss.told == (255, 3, [1.0, 2.0, 3.0])
    logits, labels = logits_and_labels()
    usual = segmentation_loss("ce", 3, 255)
    assert loss(logits, labels).item() == pytest.approx(2 * usual(logits, labels).item(), rel=1e-6)
    given = segmentation_loss(partial(tried_loss.Told, num_classes=7), 3, 255)
    assert given.loss.told == (255, 7, None)


def test_a_library_s_loss_is_one_of_ones_own(tried_loss):
    loss = segmentation_loss(partial(nn.CrossEntropyLoss), 3, 255)
    logits, labels = logits_and_labels()
    assert loss(logits, labels).item() == pytest.approx(segmentation_loss("ce", 3, 255)(logits, labels).item())


def test_it_stands_in_a_sum_with_its_weight(tried_loss):
    logits, labels = logits_and_labels()
    mine = {"own": partial(tried_loss.Told, scale=2.0), "weight": 0.25}
    loss = segmentation_loss({"ce": 0.5, "mine": mine}, 3, 255)
    assert loss(logits, labels).item() == pytest.approx(segmentation_loss("ce", 3, 255)(logits, labels).item())


def test_a_batch_without_a_label_costs_nothing(tried_loss):
    logits, labels = logits_and_labels()
    cost = segmentation_loss(partial(nn.CrossEntropyLoss), 3, 255)(logits, torch.full_like(labels, 255))
    cost.backward()
    assert cost.item() == 0
    assert not logits.grad.any()


def test_images_and_their_labels_are_given_as_they_are(tried_loss):
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 255, 2])
    loss = classification_loss(partial(tried_loss.Told), 3, 255)
    assert loss(logits, labels).item() == pytest.approx(classification_loss("ce", 3, 255)(logits, labels).item())
    decisions = torch.tensor([[0.0, 1.0], [1.0, -1.0]])
    loss = multilabel_loss(partial(tried_loss.squared), 2)
    assert loss(torch.zeros(2, 2), decisions).item() == pytest.approx(0.75)


@pytest.mark.parametrize("variables", [("height",), ("height", "cover")])
def test_numbers_come_in_units_of_their_deviation_and_nan_without_a_label(tried_loss, variables):
    count = len(variables)
    target = Target("regression", variables, mean=(10.0,) * count, std=(2.0,) * count)
    shape = (2, 4, 4) if count == 1 else (2, count, 4, 4)
    output, labels = torch.randn(shape), torch.full(shape, 14.0)
    labels.view(-1)[:5] = float("nan")
    wanted = (output[~labels.isnan()] - 2.0).square().mean().sqrt()
    loss = regression_loss(partial(tried_loss.squared, root=True), target)
    assert loss(output, labels).item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "keywords", "says"),
    [
        (
            "Learning",
            {},
            r"tried_loss\.Learning has parameters that would learn, and no optimizer gets those",
        ),
        ("PerPixel", {}, r"must return one number with a gradient; .*it returned a tensor \(2, 32, 32\)"),
        ("Broken", {}, r"can't be computed of an output \(2, 3, 32, 32\) and labels \(2, 32, 32\): TypeError"),
        ("Picky", {"depth": 2}, r"tried_loss\.Picky can't be built: ValueError: depth must be odd; got 2"),
    ],
)
def test_what_is_no_loss_is_refused_before_anything_is_trained(tried_loss, name, keywords, says):
    with pytest.raises(UserError, match=says):
        segmentation_loss(partial(getattr(tried_loss, name), **keywords), 3, 255)


def test_class_weights_of_a_loss_that_takes_none_are_refused(tried_loss):
    with pytest.raises(UserError, match=r"task\.class_weights belongs to the loss ce or focal"):
        segmentation_loss(partial(nn.CrossEntropyLoss), 3, 255, class_weights=[1.0, 1.0, 1.0])


def test_keys_of_a_loss_are_typed_one_by_one_or_as_a_mapping():
    typed = ["task.loss._target_=tried_loss.Told", "seed=1", "task.loss.scale=2"]
    assert open_own_parts(typed) == ["seed=1", "task.loss={_target_: tried_loss.Told, scale: 2}"]
    assert open_own_parts(["task.loss=dice"]) == ["task.loss=dice"]


def test_its_keys_are_checked_against_its_constructor(tried_loss):
    checked = composed_config("task.loss={ce: 1, mine: {_target_: tried_loss.Told, scale: 2, weight: 0.5}}")
    assert checked["task"]["loss"]["mine"] == {"_target_": "tried_loss.Told", "scale": 2.0, "weight": 0.5}
    assert set(left_open(checked["task"])["loss"]["mine"]) == {"own", "weight"}
    with pytest.raises(UserError, match=r"task\.loss has no key 'scal'\. Did you mean 'scale'"):
        composed_config("task.loss={_target_: tried_loss.Told, scal: 2}")
    with pytest.raises(UserError, match=r"task\.loss\.mine\.scale takes a number; got 'big'"):
        composed_config("task.loss={mine: {_target_: tried_loss.Told, scale: big}}")
    with pytest.raises(UserError, match=r"tried_loss\.Tolt can't be found.*Did you mean 'Told'"):
        composed_config("task.loss={_target_: tried_loss.Tolt}")


def test_a_run_with_it_is_another_run_and_its_code_is_kept(tried_loss):
    run(*SMALL, "study=own", "task.loss={_target_: tried_loss.Told, scale: 2}", "trainer.max_epochs=1")
    folder = only_run("own")
    record = record_of(folder)
    assert record["status"] == "completed"
    assert [Path(name).name for name in record["code"]["files"]] == ["tried_loss.py"]
    run(*SMALL, "study=usual", "task.loss=ce", "trainer.max_epochs=1")
    usual = record_of(only_run("usual"))
    assert record["metrics"]["val/loss"] == pytest.approx(2 * usual["metrics"]["val/loss"], rel=0.2)
    assert record["run_id"] != usual["run_id"]
    assert json.loads((folder / "record.json").read_text())["error"] in (None, "")
