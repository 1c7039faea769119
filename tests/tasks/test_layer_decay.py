"""Rates that fall with depth."""

from functools import partial

import pytest

from geocompose.errors import UserError
from geocompose.peft.lora import Lora
from geocompose.peft.methods import Frozen
from geocompose.peft.selective import LastKBlocks
from geocompose.tasks.layer_decay import DEPTH, tell_rates
from geocompose.tasks.parameter_groups import parameter_groups
from geocompose.training.schedules import one_cycle
from tests.kit.adapted import build
from tests.kit.command import SMALL, composed_config, only_run, record_of, run
from tests.kit.tiny_tasks import TARGETS, task


def rates(model, **more):
    """Return the rate of each parameter by its name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, more.pop("lr_by_part", None), more.pop("decay", 0.5), 1.0)
    return {names[id(parameter)]: group.get("lr", 1.0) for group in groups for parameter in group["params"]}


def test_each_block_has_a_fraction_of_the_rate_of_the_one_after():
    found = rates(build())
    assert found["encoder.norm.weight"] == 1.0
    assert [found[f"encoder.blocks.{number}.mlp.fc1.weight"] for number in (3, 2, 1, 0)] == [0.5, 0.25, 0.125, 0.0625]
    assert found["encoder.patch_embed.proj.weight"] == found["encoder.cls_token"] == 0.03125
    assert {rate for name, rate in found.items() if not name.startswith("encoder.")} == {1.0}


def test_the_order_of_a_convolutional_network_is_that_of_its_blocks():
    found = rates(build("test_resnet"))
    by_stage = [found[f"encoder.layer{stage}.0.conv1.weight"] for stage in (4, 3, 2, 1)]
    assert by_stage == [0.5, 0.25, 0.125, 0.0625]
    assert found["encoder.conv1.0.weight"] == 0.03125


@pytest.mark.parametrize(("method", "least", "most"), [(Lora(r=2), 0.0625, 0.5), (LastKBlocks(k=1), 0.5, 1.0)])
def test_it_goes_beside_methods_that_train_something_in_the_blocks(method, least, most):
    found = [rate for name, rate in rates(build(peft=method)).items() if name.startswith("encoder.")]
    assert (min(found), max(found)) == (least, most)


def test_every_parameter_that_learns_is_in_one_group():
    model = build()
    held = [id(parameter) for group in parameter_groups(model, None, 0.75, 1e-3) for parameter in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


def test_the_rate_of_a_part_is_what_falls():
    groups = parameter_groups(build(), {"backbone": 1e-2, "head": 1e-1}, 0.5, 1.0)
    assert [(group.get("name"), group.get("lr")) for group in groups if DEPTH not in group] == [
        (None, None), ("backbone", 1e-2), ("head", 1e-1)
    ]  # fmt: skip
    assert [group["lr"] for group in groups if DEPTH in group] == [1e-2 * 0.5**depth for depth in range(1, 6)]
    assert tell_rates(groups) == {str(depth): 1e-2 * 0.5**depth for depth in range(1, 6)}
    assert tell_rates(parameter_groups(build(), None)) is None


def test_a_schedule_works_on_all_rates():
    learner = task(scheduler=partial(one_cycle), layer_decay=0.5)
    optimization = learner.optimization(10, 1)
    groups = optimization["optimizer"].param_groups
    assert [group["max_lr"] for group in groups] == pytest.approx([0.03, 0.015, 0.0075])
    assert groups[1]["lr"] == pytest.approx(groups[0]["lr"] / 2)


@pytest.mark.parametrize(
    ("peft", "decay", "message"),
    [
        (None, 0.0, "task.layer_decay must be above 0 and at most 1, such as 0.75, or null; got 0.0"),
        (None, 1.5, "got 1.5"),
        (Frozen(), 0.75, "task.layer_decay=0.75 would change nothing: nothing learns in blocks of the backbone"),
    ],
)
def test_what_cannot_be_is_refused(peft, decay, message):
    with pytest.raises(UserError, match=message):
        rates(build(peft=peft), decay=decay)


def test_a_run_says_and_records_the_rates_and_is_another_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(*SMALL, "trainer.max_epochs=1", "task.layer_decay=0.5", "study=decayed")
    folder = only_run("decayed")
    record = record_of(folder)
    assert record["training"]["layer_rates"] == {str(depth): 5e-4 * 0.5**depth for depth in range(1, 6)}
    told = "task.layer_decay: the backbone's rate falls over 5 layers, to 1.56e-05"
    assert any(told in said for said in record["said"])
    assert (folder / "metrics.csv").read_text().splitlines()[0].count("lr") == 1


def test_every_kind_of_task_takes_it():
    for kind in TARGETS:
        assert composed_config(f"task={kind}", "task.layer_decay=0.75")["task"]["layer_decay"] == 0.75
        assert len(task(kind, layer_decay=0.5).optimization(10, 1)["optimizer"].param_groups) > 1
