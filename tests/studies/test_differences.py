"""What differs between two runs: of configurations the smallest difference, of metrics in their direction."""

import math

import pytest

from geocompose.runs import RunFolder, load_rules
from geocompose.studies.differences import (
    Difference,
    MetricDifference,
    config_differences,
    environment_differences,
    metric_differences,
)
from tests.kit.made_studies import made_run
from tests.kit.places import CONF

RULES = load_rules(CONF)
BASE = {
    "study": "a",
    "seed": 0,
    "decoder": {"_target_": "x.Unet", "channels": [8, 8], "dropout": 0.0},
    "optimizer": {"lr": 0.001},
    "trainer": {"accelerator": "cpu", "max_epochs": 3},
    "data": {"root": "/one"},
}


def differences(**changes):
    return config_differences(BASE, {**BASE, **changes}, RULES)


def test_equal_configurations_do_not_differ():
    found = differences()
    assert (found.counted, found.following, found.volatile) == ([], [], [])


def test_values_that_differ_are_told_by_their_dotted_keys():
    found = differences(seed=1, optimizer={"lr": 0.01})
    assert found.counted == [Difference("seed", "0", "1"), Difference("optimizer.lr", "0.001", "0.01")]


def test_what_changes_no_result_stands_apart():
    found = differences(study="b", trainer={"accelerator": "gpu", "max_epochs": 3}, data={"root": "/other"})
    assert found.counted == []
    assert [each.field for each in found.volatile] == ["study", "trainer.accelerator", "data.root"]


def test_keys_of_an_exchanged_part_that_it_alone_has_follow_from_the_exchange():
    found = differences(decoder={"_target_": "x.Fcn", "channels": [8, 9], "num_convs": 2, "dropout": 0.0})
    assert [each.field for each in found.counted] == ["decoder._target_", "decoder.channels"]
    assert found.following == ["decoder of the second alone: num_convs=2"]


def test_a_key_that_came_later_is_no_difference_at_its_default_and_one_against_another_value():
    new = {**BASE, "data": {"root": "/one", "min_valid": 0.0}}
    assert config_differences(BASE, new, RULES).counted == []
    other = {**BASE, "data": {"root": "/one", "min_valid": 0.5}}
    assert config_differences(new, other, RULES).counted == [Difference("data.min_valid", "0.0", "0.5")]
    assert config_differences(BASE, other, RULES).counted == [Difference("data.min_valid", "-", "0.5")]


def test_a_target_that_has_moved_is_no_difference():
    now, first = next(iter(RULES.renamed.items()))
    one, other = (
        {**BASE, "backbone": {"_target_": RULES.now_named({"_target_": each})["_target_"]}} for each in (now, first)
    )
    assert config_differences(one, other, RULES).counted == []


def runs(tmp_path, first, second):
    found = [RunFolder(made_run(tmp_path / name, "a" * 10, **more)) for name, more in (("1", first), ("2", second))]
    return [(run, run.read()) for run in found]


@pytest.mark.parametrize(
    ("field", "first", "second"),
    [
        ("git.commit", {"git": {"commit": "a" * 40, "dirty": False}}, {"git": {"commit": "b" * 40, "dirty": False}}),
        ("versions.torch", {"versions": {"torch": "2.11"}}, {"versions": {"torch": "2.12"}}),
        ("versions.new", {"versions": {}}, {"versions": {"new": "1"}}),
        ("hardware.cpu", {"hardware": {"cpu": "A"}}, {"hardware": {"cpu": "B"}}),
        ("data.fingerprint", {"data": {"fingerprint": "1"}}, {"data": {"fingerprint": "2"}}),
        ("weights.sha256", {"weights": {"sha256": "1"}}, {"weights": {"sha256": "2"}}),
        ("code.sha256", {"code": {"sha256": "1"}}, {"code": {"sha256": "2"}}),
        ("data.splits.tiles", {"data": {"splits": {"tiles": 3}}}, {"data": {"splits": {"tiles": 4}}}),
        ("model.parameters", {"model": {"parameters": 1}}, {"model": {"parameters": 2}}),
    ],
)  # fmt: skip
def test_the_field_of_the_environment_that_differs_is_named(tmp_path, field, first, second):
    one, other = runs(tmp_path, first, second)
    assert [each.field for each in environment_differences(one, other)] == [field]
    assert environment_differences(one, one) == []


def test_what_data_and_model_are_like_follows_from_configurations_that_differ(tmp_path):
    one, other = runs(
        tmp_path,
        {"model": {"parameters": 1}, "data": {"fingerprint": "1", "bands": ["A"]}},
        {"model": {"parameters": 2}, "data": {"fingerprint": "2", "bands": ["B"]}},
    )
    assert [each.field for each in environment_differences(one, other, derived=False)] == ["data.fingerprint"]


def test_another_number_of_threads_is_named_where_both_records_know_theirs(tmp_path):
    hardware = {"cpu": "A", "cores": 2}
    one, other = runs(tmp_path, {"hardware": hardware | {"threads": 1}}, {"hardware": hardware | {"threads": 2}})
    assert environment_differences(one, other) == [Difference("hardware.threads", "1", "2")]
    one[1].hardware.pop("threads")
    assert environment_differences(one, other) == []


def test_texts_of_own_code_and_uncommitted_changes_are_compared(tmp_path):
    one, other = runs(tmp_path, {}, {})
    (one[0].code_diff).write_text("+ a")
    for (run, _), text in ((one, "a = 1\n"), (other, "a = 2\n")):
        run.code.mkdir()
        (run.code / "nets.py").write_text(text)
        (run.code / "same.py").write_text("")
    (other[0].code / "more.py").write_text("b = 1\n")
    (other[0].code / "link.py").symlink_to("/etc/hostname")
    found = environment_differences(one, other)
    assert found == [
        Difference("code.diff", "there", "-"),
        Difference("code/nets.py", "one text", "another"),
        Difference("code/more.py", "-", "there"),
    ]


@pytest.mark.parametrize(
    ("name", "first", "second", "ahead"),
    [
        ("val/mIoU", 0.5, 0.6, "second"),
        ("val/RMSE", 0.5, 0.6, "first"),
        ("test/scene_IoU_a/b", 0.6, 0.5, "first"),
        ("val/loss", 2.0, 1.0, "second"),
        ("val/classes_present", 4.0, 3.0, None),
        ("val/mIoU", 0.5, 0.5, None),
        ("val/mIoU", 0.5, math.nan, None),
        ("val/mIoU", None, 0.5, None),
    ],
)
def test_the_better_run_is_the_one_in_the_direction_of_the_metric(name, first, second, ahead):
    assert MetricDifference(name, first, second).ahead == ahead


@pytest.mark.parametrize(
    ("name", "first", "second", "within"),
    [
        ("test/mIoU", 0.5, 0.5009, True),
        ("test/mIoU", 0.5, 0.5011, False),
        ("test/mIoU", 0.0001, 0.001, True),  # a share: the difference itself counts
        ("test/RMSE", 100.0, 100.09, True),  # an error in its unit: the difference as a part of it
        ("test/RMSE", 100.0, 100.11, False),
        ("test/RMSE_biomass", 0.0001, 0.0002, False),
        ("test/RMSE", 0.0, 0.0, True),
        ("test/classes_present", 4.0, 3.0, False),
        ("test/IoU_x", math.nan, math.nan, True),
        ("test/IoU_x", math.nan, 0.5, False),
        ("test/IoU_x", 0.5, math.nan, False),
        ("test/IoU_x", 0.5, None, False),
    ],
)
def test_a_metric_is_within_a_tolerance_of_a_thousandth_or_not(name, first, second, within):
    assert MetricDifference(name, first, second).within(0.001) is within


def test_metrics_stand_in_the_order_of_the_first_run():
    found = metric_differences({"a": 1.0, "b": 2.0}, {"c": 3.0, "b": 2.0})
    assert [(each.name, each.first, each.second) for each in found] == [("a", 1, None), ("b", 2, 2), ("c", None, 3)]
