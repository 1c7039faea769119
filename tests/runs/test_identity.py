"""Which changes of a configuration or its inputs make another run."""

import math
from dataclasses import replace

import pytest
import yaml

from geocompose.errors import UserError
from geocompose.runs import IdentityRules, folder_name, load_rules, run_id
from geocompose.runs.identity import counted
from tests.kit.places import CONF

INPUTS = {"data": "d" * 64}


@pytest.fixture(scope="module")
def rules() -> IdentityRules:
    return load_rules(CONF)


def config(**changes: object) -> dict:
    plain = {
        "action": {"_target_": "geocompose.actions.fit.fit"},
        "study": "default",
        "seed": 0,
        "debug": False,
        "rerun": False,
        "retry": None,
        "backbone": {"_target_": "a.b", "variant": "tiny", "ckpt_path": None, "kwargs": {}},
        "data": {
            "root": "/data/floods",
            "num_workers": 0,
            "tile_px": 64,
            "split": [0.6, 0.2, 0.2],
            "split_files": None,
        },
        "optimizer": {"lr": 0.001, "weight_decay": 0.0},
        "trainer": {"accelerator": "auto", "devices": 1, "max_epochs": 3},
        "logger": {"tensorboard": {"flush": 10}},
    }
    for dotted, value in changes.items():
        *groups, name = dotted.split("__")
        place = plain
        for group in groups:
            place = place[group]
        place[name] = value
    return plain


@pytest.mark.parametrize(
    "change",
    [
        {"study": "floods"},
        {"action": {"_target_": "other", "run": "x"}},
        {"debug": True},
        {"rerun": True},
        {"retry": "failed"},
        {"logger": None},
        {"logger__tensorboard__flush": 1},
        {"trainer__accelerator": "gpu"},
        {"trainer__devices": 4},
        {"data__num_workers": 8},
        {"data__root": "/elsewhere/floods"},
    ],
    ids=str,
)
def test_volatile_keys_and_a_moved_folder_keep_the_identity(rules, change):
    assert run_id(config(**change), INPUTS, rules) == run_id(config(), INPUTS, rules)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"backbone__variant": "small"},
        {"data__tile_px": 128},
        {"data__split": [0.2, 0.6, 0.2]},
        {"optimizer__lr": 0.01},
        {"trainer__max_epochs": 4},
        {"backbone__kwargs": {"x": None}},
    ],
    ids=str,
)
def test_what_changes_the_result_changes_the_identity(rules, change):
    assert run_id(config(**change), INPUTS, rules) != run_id(config(), INPUTS, rules)


def test_identity_is_ten_hexadecimal_characters_and_stays_the_same_from_version_to_version(rules):
    # Recorded values: when the first changes for equal numerics, every recorded run loses its identity.
    assert run_id(config(), INPUTS, replace(rules, numerics=1)) == "cfc011e00b"
    assert len(run_id(config(), INPUTS, rules)) == 10


def test_other_data_or_other_weights_are_another_run(rules):
    before = run_id(config(), INPUTS, rules)
    assert run_id(config(), {"data": "e" * 64}, rules) != before
    loaded = config(backbone__ckpt_path="/w/a.pt")
    first = run_id(loaded, {**INPUTS, "weights": "1" * 64}, rules)
    assert first != before
    assert run_id(loaded, {**INPUTS, "weights": "2" * 64}, rules) != first
    moved = config(backbone__ckpt_path="/v/b.pt")
    assert run_id(moved, {**INPUTS, "weights": "1" * 64}, rules) == first


def test_a_path_whose_contents_nobody_hashed_is_refused(rules):
    with pytest.raises(AssertionError, match=r"data\.root is set, but what it holds is not among the inputs as 'data'"):
        run_id(config(), {}, rules)
    with pytest.raises(AssertionError, match=r"backbone\.ckpt_path .* 'weights'"):
        run_id(config(backbone__ckpt_path="a.pt"), INPUTS, rules)
    run_id(config(data__root=None), {}, rules)
    run_id(config(action={"ckpt_path": "a.pt"}), INPUTS, rules)


def test_order_of_keys_and_kind_of_sequence_do_not_count():
    rules = IdentityRules()
    assert run_id({"a": 1, "b": (1, 2)}, {}, rules) == run_id({"b": [1, 2], "a": 1}, {}, rules)


def test_values_of_different_type_are_different():
    values = [1, 1.0, True, "1", None, 0, False, "", "null", [], {}, [1], {"1": 1}, {1: 1}, math.inf, math.nan]
    identities = {run_id({"a": value}, {}, IdentityRules()) for value in values}
    assert len(identities) == len(values)
    assert run_id({}, {}, IdentityRules()) not in identities


def test_a_key_added_later_is_left_out_at_its_neutral_value():
    rules = IdentityRules(defaults={"decoder.dropout": 0, "ema": None, "data.augment.*": False, "necks.*.bias": True})
    before = run_id({"decoder": {"channels": 256}, "data": {}, "necks": [{"name": "x"}]}, {}, rules)
    after = {
        "decoder": {"channels": 256, "dropout": 0.0},
        "ema": None,
        "data": {},
        "necks": [{"name": "x", "bias": True}],
    }
    assert run_id(after, {}, rules) == before
    for change in ({"dropout": 0.1}, {"dropout": False}, {"dropout": None}):
        assert run_id({**after, "decoder": {"channels": 256, **change}}, {}, rules) != before
    # A group that came later as a whole, with every key at its neutral value.
    assert counted({"data": {"augment": {"flip": False, "blur": False}}, "x": {}}, rules) == {"x": {}}


def test_an_option_has_values_of_its_own_at_which_a_key_changes_nothing():
    rules = IdentityRules(
        defaults={"data.unit": None},
        options=[{"where": {"data.name": "floods", "data.kind": 1}, "defaults": {"data.unit": "dn", "x": 0}}],
    )
    floods = {"name": "floods", "kind": 1}
    assert counted({"data": {**floods, "unit": "dn"}, "x": 0}, rules) == {"data": floods}
    assert counted({"data": {**floods, "unit": None}}, rules) == {"data": {**floods, "unit": None}}
    for other in ({"name": "floods", "kind": True}, {"name": "floods"}, {"name": "fields", "kind": 1}):
        assert counted({"data": {**other, "unit": None}, "x": 0}, rules) == {"data": other, "x": 0}
        assert counted({"data": {**other, "unit": "dn"}}, rules) == {"data": {**other, "unit": "dn"}}


def test_a_consent_that_timm_was_given_later_counts_for_others_as_it_did(rules):
    timm, prithvi = "geocompose.backbones.timm.builder.build_timm", "geocompose.backbones.prithvi.builder.build_prithvi"

    def identity(target: str, **more: object) -> str:
        return run_id(config(backbone={"_target_": target, **more}), INPUTS, rules)

    assert identity(timm, allow_random_bands=False) == identity(timm)
    assert identity(timm, allow_random_bands=True) != identity(timm)
    assert identity(prithvi, allow_random_bands=False) != identity(prithvi)


def test_of_split_files_names_and_roles_count_but_not_their_folder(rules):
    def identity(**files: str) -> str:
        return run_id(config(data__split=None, data__split_files=files), INPUTS, rules)

    here = identity(train="/a/train.csv", val="/a/val.csv", test="/a/test.csv")
    assert identity(train="b/train.csv", val="b/val.csv", test="b/test.csv") == here
    assert identity(train="/a/val.csv", val="/a/train.csv", test="/a/test.csv") != here
    same_names = identity(train="a/train/list.csv", val="a/val/list.csv")
    assert identity(train="a/val/list.csv", val="a/train/list.csv") != same_names
    assert identity(train="b/train/list.csv", val="b/val/list.csv") == same_names


def test_double_star_reaches_any_depth():
    rules = IdentityRules(volatile=("**.verbose", "a.*.x"))
    plain = {"verbose": 1, "a": {"b": {"x": 1, "y": 2, "verbose": 3}, "x": 4}, "parts": [{"verbose": 5, "z": 6}]}
    assert counted(plain, rules) == {"a": {"b": {"y": 2}, "x": 4}, "parts": [{"z": 6}]}


def test_folder_name_is_safe_for_file_systems():
    assert folder_name("prithvi", "upernet", "none", "0123456789") == "prithvi-upernet-none-0123456789"
    assert (
        folder_name("hf-hub:timm/vit b", "smp_Unet", "löra", "0" * 10) == "hf-hub_timm_vit_b-smp_Unet-l_ra-0000000000"
    )
    assert not folder_name("../../etc", "a", "b", "0" * 10).startswith(".")
    assert len(folder_name("x" * 400, "y" * 400, "z" * 400, "0" * 10)) < 255


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("volatil: [a]", "unknown section 'volatil'. Did you mean 'volatile'"),
        ("volatile: {a: 1}", "volatile must be a list of keys"),
        ("volatile: [1]", "volatile must be a list of keys"),
        ("defaults: [a]", "defaults must be a mapping from keys"),
        ("options: {where: {a: 1}}", "options must be a list of {where: {KEY: VALUE}, defaults: {KEY: VALUE}}"),
        ("options: [{where: {a: 1}, default: {b: 1}}]", "options must be a list of"),
        ("options: [{where: {1: 1}, defaults: {b: 1}}]", "options must be a list of"),
        ("- a", "must have the sections"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_wrong_rules_are_refused(tmp_path, text, message):
    (tmp_path / "identity.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load_rules(tmp_path)


def test_missing_rules_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"identity\.yaml is missing"):
        load_rules(tmp_path)


def test_rules_file_opens_with_what_it_is_and_has_every_section(rules):
    text = (CONF / "identity.yaml").read_text()
    assert text.startswith("# ")
    assert set(yaml.safe_load(text)) == {
        "volatile",
        "contents",
        "file_names",
        "defaults",
        "neutral",
        "options",
        "renamed",
        "gone",
        "numerics",
    }
    assert rules.contents["data.root"] == "data"


def test_every_key_of_the_rules_exists_in_the_configuration(rules):
    root = yaml.safe_load((CONF / "config.yaml").read_text())
    known = set(root) | {name for group in root["defaults"] if isinstance(group, dict) for name in group}
    for folder in (path for path in CONF.iterdir() if path.is_dir()):
        for option in folder.glob("*.yaml"):
            known |= {f"{folder.name}.{name}" for name in yaml.safe_load(option.read_text()) or {}}
    keys = {*rules.volatile, *rules.contents, *rules.file_names}
    assert {key for key in keys if "*" not in key} <= known
    assert {"backbone.ckpt_path", "data.root"} <= known


MOVED = IdentityRules(renamed={"new.room.Net": "old.Net"}, defaults={"backbone": {"_target_": "old.Net", "width": 1}})


def test_a_moved_target_keeps_the_identity_and_the_rules_that_name_it():
    for backbone in ({"_target_": "old.Net", "width": 2}, {"_target_": "old.Net", "width": 1}):
        moved = {"backbone": {**backbone, "_target_": "new.room.Net"}}
        assert run_id(moved, {}, MOVED) == run_id({"backbone": backbone}, {}, IdentityRules(defaults=MOVED.defaults))
    assert counted({"backbone": {"_target_": "new.room.Net", "width": 1}}, MOVED) == {}


def test_a_recorded_configuration_names_moved_targets_by_todays_name_at_any_depth():
    recorded = {"a": [{"_target_": "old.Net", "text": "old.Net"}], "b": {"_target_": "kept.Net"}}
    assert MOVED.now_named(recorded) == {
        "a": [{"_target_": "new.room.Net", "text": "old.Net"}],
        "b": {"_target_": "kept.Net"},
    }
    assert MOVED.first_named(MOVED.now_named(recorded)) == recorded


def test_numerics_is_part_of_the_identity_from_2_on():
    config = {"seed": 0}
    first = run_id(config, {}, IdentityRules())
    assert run_id(config, {}, IdentityRules(numerics=1)) == first
    assert (
        len({first, run_id(config, {}, IdentityRules(numerics=2)), run_id(config, {}, IdentityRules(numerics=3))}) == 3
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("renamed: {a.A: 3}", "new name: first name"),
        ("renamed: {a.A: b.B, c.C: b.B}", r"b\.B two names"),
        ("renamed: {a.A: b.B, b.B: c.C}", r"b\.B both as a new name and as a first one"),
        ("renamed: [a]", "renamed must be a mapping"),
        ("numerics: 0", "whole number, 1 or more; got 0"),
        ("numerics: true", "whole number, 1 or more; got True"),
    ],
)
def test_wrong_rules_about_moves_are_refused(text, says, tmp_path):
    (tmp_path / "identity.yaml").write_text(text)
    with pytest.raises(UserError, match=says):
        load_rules(tmp_path)
