"""Runs that were recorded before data had kinds keep their identity."""

from dataclasses import replace

import pytest
from hydra import compose, initialize_config_dir

from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import groups
from geocompose.runs import load_rules, run_id
from tests.kit.places import CONF

GEOTIFF = ("data=geotiff", "data.root=.", "data.images=*_i.tif", "data.labels=*_l.tif", "data.class_names=[land,water]")
SEN1FLOODS11 = ("data=sen1floods11", "data.root=.")


SPECTRAL = ("data.landscape=spectral",)  # all that there was when they were recorded


AS_THEN = ("optimizer.fused=null", "decoder.joining=enlarged")  # as runs were computed before there was a choice


def configured(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", overrides=[*AS_THEN, *overrides]), groups(CONF))


@pytest.mark.parametrize(
    ("overrides", "of_all", "of_data"),
    [
        (SPECTRAL, "9023da41ed", "2559ee0113"),
        (GEOTIFF, "5660f37860", "b798df33f5"),
        (SEN1FLOODS11, "b9f08e22d6", "fca6d79e8f"),
    ],
    ids=["default", "geotiff", "sen1floods11"],
)
def test_options_recorded_with_segmentation_alone_keep_their_run_id(overrides, of_all, of_data):
    config, rules = configured(*overrides), replace(load_rules(CONF), numerics=1)
    inputs = {} if overrides == SPECTRAL else {"data": "d"}
    assert run_id({"data": config["data"]}, inputs, rules) == of_data
    assert run_id(config, inputs, rules) == of_all


def test_a_table_counts_by_its_contents_and_not_by_its_folder():
    rules = load_rules(CONF)
    option = ("data=geotiff_classification", "data.root=.")
    first, moved, other = (
        run_id({"data": configured(*option, f"data.table={table}")["data"]}, {"data": hashed}, rules)
        for table, hashed in (("a/labels.csv", "d"), ("b/labels.csv", "d"), ("a/labels.csv", "e"))
    )
    assert first == moved
    assert first != other


@pytest.mark.parametrize("task", ["segmentation", "regression", "classification", "multilabel", "scalar_regression"])
def test_the_default_data_follows_the_task(task):
    assert configured(f"task={task}")["data"]["_target_"].startswith("geocompose.data.synthetic.sources.")


def test_a_statement_of_what_changes_nothing_keeps_the_run_id():
    rules, option = load_rules(CONF), SEN1FLOODS11

    def identity(*overrides):
        return run_id({"data": configured(*option, *overrides)["data"]}, {"data": "d"}, rules)

    assert identity("data.level=null") == identity()
    changed = [
        "data.unit=null",  # then a backbone that knows another unit is given the numbers as they are
        "data.unit=dn",
        "data.unit=reflectance",
        "data.offset=1000",
        "data.allow_mismatch=[level]",
        "data.level=BOA",
    ]
    assert len({identity(), *map(identity, changed)}) == 7
