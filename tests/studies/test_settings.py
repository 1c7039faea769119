"""What tells runs apart: choices and values, also of records that do not note them."""

import pytest

from geocompose.runs import RunFolder
from geocompose.studies.reading import read_studies
from geocompose.studies.settings import distinguishing, recorded_choices, same_value
from tests.kit.made_studies import made_run

VOLATILE = ("study", "action", "logger", "trainer.accelerator")


def differing(study, **options):
    found = read_studies([study])
    runs = sorted(found.runs.values(), key=lambda run: run.id)
    return distinguishing(runs, VOLATILE, **options)


def test_older_records_tell_their_parts_by_their_folders_and_the_rest_by_what_was_typed(tmp_path):
    made_run(tmp_path, "a" * 10, "optimizer.lr=1", "study=x", "trainer.accelerator=cpu", parts=("vit", "fcn", "none"))
    made_run(tmp_path, "b" * 10, "optimizer.lr=2", "study=y", "decoder=fcn", parts=("swin", "fcn", "none"))
    keys, values = differing(tmp_path)
    assert keys == ["backbone", "optimizer.lr"]
    assert values == [{"backbone": "vit", "optimizer.lr": "1"}, {"backbone": "swin", "optimizer.lr": "2"}]


def test_a_folder_that_was_renamed_leaves_what_was_typed(tmp_path):
    folder = made_run(tmp_path, "a" * 10, "backbone=swin", "decoder=fcn", "seed=1").rename(tmp_path / "best")
    record = RunFolder(folder).read()
    assert recorded_choices(RunFolder(folder), record) == {"backbone": "swin", "decoder": "fcn"}


def test_a_default_that_others_typed_comes_from_the_configuration(tmp_path):
    made_run(tmp_path, "a" * 10, "optimizer.lr=1e-3", config="optimizer: {lr: 0.001, betas: [0.9, 0.999]}\n")
    made_run(tmp_path, "b" * 10, "optimizer.betas=[0.8,0.9]", config="optimizer: {lr: 0.002, betas: [0.8, 0.9]}\n")
    keys, values = differing(tmp_path)
    assert keys == ["optimizer.lr", "optimizer.betas"]
    assert [found["optimizer.lr"] for found in values] == ["1e-3", "0.002"]
    assert [found["optimizer.betas"] for found in values] == ["[0.9, 0.999]", "[0.8,0.9]"]


def test_what_was_typed_as_the_default_is_no_difference(tmp_path):
    made_run(tmp_path, "a" * 10, "optimizer.lr=1e-3", "debug=true", config="optimizer: {lr: 0.001}\n")
    made_run(tmp_path, "b" * 10, "debug=true", config="optimizer: {lr: 0.001}\n")
    assert differing(tmp_path)[0] == []


def test_keys_that_another_part_lacks_are_no_difference_beside_that_of_the_parts(tmp_path):
    made_run(tmp_path, "a" * 10, "backbone.depth=2", parts=("vit", "fcn", "none"), config="backbone: {depth: 2}\n")
    made_run(tmp_path, "b" * 10, "backbone.name=x", parts=("timm", "fcn", "none"), config="backbone: {name: x}\n")
    assert differing(tmp_path)[0] == ["backbone"]


def test_a_key_that_the_same_part_has_in_one_run_alone_is_a_difference(tmp_path):
    made_run(tmp_path, "a" * 10, "++backbone.kwargs.depth=2", config="backbone: {kwargs: {depth: 2}}\n")
    made_run(tmp_path, "b" * 10, config="backbone: {kwargs: {}}\n")
    assert differing(tmp_path) == (["backbone.kwargs.depth"], [{"backbone.kwargs.depth": "2"}, {}])


@pytest.mark.parametrize("text", ["- [", "\x00", "- {a: 1}\n", '- "a=1"\n- 7\n'])
def test_overrides_that_can_not_be_read_are_told_and_the_rest_is_shown(tmp_path, caplog, text):
    made_run(tmp_path, "a" * 10, "optimizer.lr=1", parts=("vit", "fcn", "none"))
    (made_run(tmp_path, "b" * 10, parts=("swin", "fcn", "none")) / "overrides.yaml").write_text(text)
    keys, _ = differing(tmp_path, filled=False)
    assert keys[0] == "backbone"
    assert "overrides.yaml of 1 run can't be read" in caplog.text


@pytest.mark.parametrize("config", ["a: [", "[1]", "a: &a [*a]\n", None])
def test_a_configuration_that_can_not_be_read_costs_a_cell_of_the_table_alone(tmp_path, config):
    made_run(tmp_path, "a" * 10, "optimizer.lr=1", config="optimizer: {lr: 1}\n")
    folder = made_run(tmp_path, "b" * 10, config=config or "")
    if config is None:
        (folder / "config.yaml").unlink()
    assert differing(tmp_path) == (["optimizer.lr"], [{"optimizer.lr": "1"}, {}])


def test_equal_values_have_equal_texts():
    assert same_value("1e-3") == same_value("0.001")
    assert same_value("[1, 2]") == same_value("[1,2]")
    assert same_value("'a'") == same_value("a")
    assert same_value("1") != same_value("true")
