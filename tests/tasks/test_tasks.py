"""The tasks: learning that works, exact scores, freezing, auxiliary losses, rates by part, and what is refused."""

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from geocompose.errors import UserError
from geocompose.from_config import task_kind
from geocompose.imagery.samples import Target
from geocompose.scores import SCORES, calibration_error
from geocompose.tasks.base import check_kind
from tests.kit.tiny_tasks import TARGETS, TASKS, loader, model, samples, task, trainer

KINDS = list(TASKS)
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers.*",
    "ignore:.*number of training batches.*",
    "ignore:.*logger.*",
    "ignore:.*LeafSpec.*",
    "ignore:.*lr_scheduler.step.*",
)


def constant_score(kind: str) -> float:
    """Return the selection metric of the best constant prediction on the held-out samples."""
    held_out, target = samples(kind, 30, seed=4), TARGETS[kind]
    label = torch.stack([sample["mask" if target.pixel_wise else "label"] for sample in held_out])
    if not target.of_classes:
        known = label[~label.isnan()]
        return float(((known - known.mean()) ** 2).mean().sqrt())
    if kind == "multilabel":  # yes to all
        label = label[label[:, 1] >= 0].numpy()
        hits = label.sum(axis=0)
        return float((2 * hits / (hits + len(label))).mean())
    counts = torch.bincount(label[label >= 0], minlength=3).numpy()
    best = 0.0
    for said in range(3):
        matrix = np.zeros((3, 3))
        matrix[:, said] = counts
        best = max(best, SCORES[target.kind](matrix, target.names)["mIoU" if kind == "segmentation" else "F1_macro"])
    return best


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_learns_until_it_clearly_beats_a_constant(kind):
    learner = task(kind, num_tiles={"val": 30, "test": 30})
    quiet = trainer(epochs=30)
    quiet.fit(learner, loader(samples(kind, 60), 10), loader(samples(kind, 30, seed=4), 8))
    metric, mode = learner.selection
    score = float(quiet.callback_metrics[metric])
    if mode == "max":
        assert score > constant_score(kind) + 0.2
    else:
        assert score < 0.4 * constant_score(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_loss_runs_from_the_first_step_and_scores_do_not_depend_on_the_batch(kind):
    learner, held_out = task(kind), samples(kind, 5)
    quiet = trainer(epochs=2)
    quiet.fit(learner, loader(samples(kind, 12), 4), loader(held_out, 2))
    first = quiet.validate(learner, loader(held_out, 2), verbose=False)[0]
    again = quiet.validate(learner, loader(held_out, 5), verbose=False)[0]
    assert {name: value for name, value in again.items() if name != "val/loss"} == pytest.approx(
        {name: value for name, value in first.items() if name != "val/loss"}, nan_ok=True, rel=1e-6
    )
    counts = learner.tile_counts("val")
    assert len(counts) == 5
    assert counts[4].sum() == 0, "the last sample has no label"
    expected = SCORES[learner.kind](counts.sum(dim=0).numpy(), learner.target.names)
    if (bins := learner.tile_calibration("val")) is not None:
        expected["ECE"] = calibration_error(bins.sum(axis=0))
    assert learner.scores("val") == pytest.approx(expected, nan_ok=True)
    assert first[learner.selection[0]] == pytest.approx(expected[learner.selection[0].removeprefix("val/")])
    tested = quiet.test(learner, loader(held_out, 3), verbose=False)[0]
    assert tested[learner.selection[0].replace("val/", "test/")] == pytest.approx(first[learner.selection[0]])


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_without_any_label_has_no_loss_and_scores_that_are_no_number(kind):
    learner, unlabelled = task(kind), [samples(kind, 5)[-1]] * 2
    logged = trainer(epochs=1).validate(learner, loader(unlabelled, 2), verbose=False)[0]
    assert "val/loss" not in logged
    assert math.isnan(logged[learner.selection[0]])


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_unlabelled_samples_teaches_nothing(kind):
    learner = task(kind)
    learner.log = lambda *_, **__: None
    batch = {key: torch.stack([value] * 3) for key, value in samples(kind, 4)[-1].items()}
    loss = learner.training_step(batch, 0)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or torch.equal(p.grad, torch.zeros_like(p)) for p in learner.parameters())


@pytest.mark.parametrize("kind", ["regression", "scalar_regression"])
def test_several_variables_are_learnt_and_scored_apart(kind):
    target = Target(kind, ("height", "age"), mean=(300.0, 0.0), std=(20.0, 1.0))
    learner = task(kind, target=target, variable_weights=[1.0, 2.0], loss="huber")
    key = "mask" if target.pixel_wise else "label"
    data = [
        {**sample, key: torch.stack([sample[key], (sample[key] - 300) / 20])} for sample in samples(kind, 12)
    ]  # fmt: skip
    quiet = trainer(epochs=25)
    quiet.fit(learner, loader(data, 4), loader(data[:5], 2))
    scores = learner.scores("val")
    assert scores["RMSE"] == pytest.approx((scores["RMSE_height"] + scores["RMSE_age"]) / 2)
    assert scores["RMSE_height"] < 12
    assert scores["R2_age"] > 0.5


def test_a_loss_that_is_no_number_stops_the_run():
    broken = task()
    with torch.no_grad():
        broken.model.head.weight.fill_(float("nan"))
    with pytest.raises(UserError, match=r"The training loss is nan in epoch 0. Lower optimizer.lr"):
        trainer(epochs=1).fit(broken, loader(samples("segmentation", 4), 2), loader(samples("segmentation", 5), 5))


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_dict_of_a_task_is_that_of_its_model(kind):
    more = {"class_weights": [1.0, 2.0, 3.0]} if TARGETS[kind].of_classes else {"variable_weights": [2.0]}
    weighted = task(kind, **more)
    assert set(weighted.state_dict()) == {f"model.{name}" for name in weighted.model.state_dict()}


@pytest.mark.parametrize("kind", KINDS)
def test_our_tasks_are_of_the_kind_that_their_modules_are_named_after(kind):
    name = f"geocompose.tasks.{kind}.{TASKS[kind].__name__}"
    assert task_kind(name) == TASKS[kind].kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_of_a_task_learns_by_itself(kind):
    original = task(kind)
    twin = copy.deepcopy(original)
    with torch.no_grad():
        next(twin.model.parameters()).add_(1)
    image = samples(kind, 1)[0]["image"][None]
    assert not torch.equal(twin(image), original(image))


# What learns


@pytest.mark.parametrize("kind", KINDS)
def test_the_optimizer_holds_only_what_learns(kind):
    frozen = task(kind, freeze_backbone=True)
    optimizer = frozen.optimization(10, 1)["optimizer"]
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in frozen.model.head.parameters()}
    assert not frozen.model.train().encoder.training


@pytest.mark.parametrize("kind", KINDS)
def test_each_part_can_be_frozen_and_not_all(kind):
    for part, attribute in (("backbone", "encoder"), ("head", "head")):
        frozen = task(kind, **{f"freeze_{part}": True})
        assert not any(p.requires_grad for p in getattr(frozen.model, attribute).parameters())
    with pytest.raises(UserError, match="Nothing is left to learn"):
        task(kind, freeze_backbone=True, freeze_decoder=True, freeze_head=True)


def test_prompts_in_a_frozen_backbone_go_on_learning():
    learner = model(TARGETS["segmentation"])
    learner.encoder.prompts = torch.nn.Parameter(torch.zeros(3))
    learner.encoder.adapter_layer_names = ("prompts",)
    frozen = task(model=learner, freeze_backbone=True)
    held = [p for group in frozen.optimization(10, 1)["optimizer"].param_groups for p in group["params"]]
    assert any(p is learner.encoder.prompts for p in held)


@pytest.mark.parametrize("given", [{"backbone": 1e-4}, OmegaConf.create({"backbone": 1e-4})])
def test_a_part_learns_at_its_own_rate(given):
    learner = task(lr_by_part=given)
    rest, own = learner.optimization(10, 1)["optimizer"].param_groups
    assert (rest["lr"], own["lr"], own["name"]) == (0.03, 1e-4, "backbone")
    assert {id(p) for p in own["params"]} == {id(p) for p in learner.model.encoder.parameters()}
    assert {id(p) for p in rest["params"]} == {id(p) for p in learner.model.head.parameters()}


def test_a_rate_of_zero_keeps_a_part_as_it_was_and_every_part_may_have_one():
    learner = task(aux=["fcn"], aux_loss={"fcn": 0.5}, lr_by_part={"backbone": 0.0, "head": 0.1, "auxiliary": 0.02})
    assert [group["name"] for group in learner.optimization(10, 1)["optimizer"].param_groups] == [
        "backbone", "head", "auxiliary",
    ]  # fmt: skip
    before = copy.deepcopy(learner.model.state_dict())
    trainer(epochs=1).fit(learner, loader(samples("segmentation", 4), 2))
    after = learner.model.state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"head", "aux_heads"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr_by_part": {"bakbone": 1e-4}}, "lr_by_part has no part 'bakbone'. Did you mean 'backbone'"),
        ({"lr_by_part": {"encoder": 1e-4}}, "lr_by_part has no part 'encoder'. Did you mean 'backbone'"),
        ({"lr_by_part": {"encodr": 1e-4}}, "lr_by_part has no part 'encodr'. Did you mean 'backbone'"),
        ({"lr_by_part": {"decodr": 1e-4}}, "lr_by_part has no part 'decodr'. Did you mean 'decoder'"),
        ({"lr_by_part": {"aux_heads": 1e-4}}, "lr_by_part has no part 'aux_heads'. Did you mean 'auxiliary'"),
        ({"lr_by_part": {"neck": 1e-4}}, "lr_by_part.neck=0.0001 would change nothing: the neck has no parameter"),
        ({"lr_by_part": {"backbone": 1e-4}, "freeze_backbone": True}, "would change nothing.*free the part"),
        ({"lr_by_part": {"head": -1.0}}, "lr_by_part.head must be a rate of 0 or more; got -1.0"),
        ({"lr_by_part": {"head": "fast"}}, "lr_by_part.head must be a rate of 0 or more; got fast"),
    ],
)
def test_rates_that_cannot_be_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        task(**changes).optimization(10, 1)


# Auxiliary heads


@pytest.mark.parametrize("kind", KINDS)
def test_auxiliary_losses_are_added_by_their_weights(kind):
    learner = task(kind, aux=["first", "second"], aux_loss=OmegaConf.create({"first": 0.4, "second": 2}))
    logged: dict[str, Any] = {}
    learner.log = lambda name, value, **_: logged.update({name: value.detach()})
    batch = {key: torch.stack([s[key] for s in samples(kind, 4)]) for key in samples(kind, 1)[0]}
    output, truth = learner.model(batch["image"]), batch["mask" if TARGETS[kind].pixel_wise else "label"]
    main, first, second = (
        learner.criterion(o, truth)
        for o in (output.output, output.auxiliary_heads["first"], output.auxiliary_heads["second"])
    )
    total = learner.training_step(batch, 0)
    torch.testing.assert_close(total, main + 0.4 * first + 2 * second)
    torch.testing.assert_close(logged["train/loss"], main.detach())
    torch.testing.assert_close(logged["train/loss_with_auxiliary"], total.detach())
    total.backward()
    assert all(p.grad is not None for p in learner.parameters())


@pytest.mark.parametrize(
    ("aux", "weights", "message"),
    [
        ([], {"fcn": 0.4}, "names 'fcn', but the model has no such auxiliary head. It has none: choose some"),
        (["fcn"], {"fnc": 0.4}, "names 'fnc', but the model has no such auxiliary head. Did you mean 'fcn'"),
        (["fcn"], None, r"head fcn has no weight for its loss. Write task.aux_loss=\{fcn: 0.4\}"),
        (["a", "b"], {"a": 0.2}, r"head b has no weight.*task.aux_loss=\{a: 0.2, b: 0.4\}"),
        (["fcn"], {"fcn": -1.0}, "aux_loss.fcn must be a weight of 0 or more; got -1.0"),
    ],
)
def test_auxiliary_heads_and_weights_belong_together(aux, weights, message):
    with pytest.raises(UserError, match=message):
        task(aux=aux, aux_loss=weights)


# Data of another kind


def test_data_of_another_kind_is_refused():
    with pytest.raises(
        UserError, match=r"task=regression needs data with labels.*this data has segmentation \(land, wat"
    ):
        task("regression", target=TARGETS["segmentation"])
    with pytest.raises(UserError, match="Use task=multilabel, or data such as data=synthetic_classification"):
        check_kind("classification", TARGETS["multilabel"])


@pytest.mark.parametrize("name", ["macro", "micro"])
def test_a_class_is_not_called_as_a_mean_over_classes(name):
    with pytest.raises(UserError, match=f"A class can't be called {name}: F1_{name} is"):
        task("classification", target=replace(TARGETS["classification"], names=("land", "water", name)))


def test_several_variables_are_selected_in_training_deviations():
    scale = {"mean": (300.0, 0.5), "std": (200.0, 0.1), "deviation": (200.0, 0.1)}
    several = Target("regression", ("tonnes", "share"), **scale)
    assert task("regression", target=several).selection == ("val/nRMSE", "min")
    in_unit = replace(several, mean=(0.0, 0.0), std=(1.0, 1.0))  # data.normalize_target=none
    assert task("regression", target=in_unit).selection == ("val/nRMSE", "min")
    assert task("regression").selection == ("val/RMSE", "min")


@pytest.mark.parametrize("kind", ["segmentation", "classification"])
def test_the_epoch_is_chosen_by_the_metric_that_is_named(kind):
    for name in TASKS[kind].selections:
        learner = task(kind, select_by=name)
        assert learner.selection == (f"val/{name}", "min" if name == "loss" else "max")
        quiet = trainer(epochs=1)
        quiet.fit(learner, loader(samples(kind, 8), 4), loader(samples(kind, 5), 5))
        assert math.isfinite(quiet.callback_metrics[f"val/{name}"])
    assert task(kind).selection == TASKS[kind].selection


def test_a_metric_that_no_epoch_can_be_chosen_by_is_refused():
    with pytest.raises(UserError, match=r"task\.select_by has no 'mIOU'\. Did you mean 'mIoU'"):
        task("segmentation", select_by="mIOU")
    with pytest.raises(UserError, match=r"task\.select_by has no 'mIoU'.* Allowed: F1_macro"):
        task("classification", select_by="mIoU")
