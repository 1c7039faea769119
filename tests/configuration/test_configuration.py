"""The configuration is checked against signatures read from source, and every mistake is told with what is right."""

import sys
from typing import Any, Literal

import pytest
from omegaconf import OmegaConf

from geocompose.configuration.checking import check
from geocompose.configuration.diagnosis import diagnose, groups, options
from geocompose.configuration.signatures import arguments, names_in
from geocompose.errors import UserError
from geocompose.imagery.band_choice import chosen_bands
from tests.kit.places import CONF

SOURCE = """
raise RuntimeError("this module is read, never imported")
from dataclasses import dataclass
from typing import Literal
from torch import Tensor
from elsewhere import Imported

def build(path, size: int, rate: float = 0.5, *, names: list[str] | None = None, mode: Literal["a", "b"] = "a",
          pair: int | list[int] = 1, on: bool = False, text: str = "", by_name: dict[str, float] | None = None,
          lr: float | Tensor = 0.1, choice: bool | Literal["warn"] = "warn"): ...

def swallows(size: int, **kwargs): ...

class Base:
    def __init__(self, width: int, depth: int = 3): ...

class Child(Base): ...

class Bare: ...

class Stranger(Imported): ...

@dataclass(frozen=True)
class Fields:
    first: int
    second: float = 1.0
"""


@pytest.fixture
def source(tmp_path, monkeypatch, request):
    """Return the name of a module that would fail on import."""
    name = f"written_{abs(hash(request.node.name)):x}"
    package = tmp_path / f"{name}_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('this package is read, never imported')")
    (package / "inner.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"{package.name}.inner"


GROUPS = ("data", "head")


def checked(target: str, **values: Any) -> dict[str, Any]:
    return check(OmegaConf.create({"part": {"_target_": target, **values}}), ["part"])["part"]


# Signatures


def test_arguments_are_read_without_importing_the_module_or_its_package(source):
    read = arguments(f"{source}.build")
    assert read is not None
    assert list(read) == ["path", "size", "rate", "names", "mode", "pair", "on", "text", "by_name", "lr", "choice"]
    assert [name for name, argument in read.items() if argument.required] == ["path", "size"]
    assert read["path"].type is Any
    assert read["size"].type is int
    assert read["names"].type == list[str] | None
    assert read["mode"].type == Literal["a", "b"]
    assert source not in sys.modules


def test_a_class_has_the_arguments_of_its_constructor_of_its_parents_or_of_its_fields(source):
    for name in ("Base", "Child"):
        read = arguments(f"{source}.{name}")
        assert read is not None
        assert list(read) == ["width", "depth"]
    assert arguments(f"{source}.Bare") == {}
    fields = arguments(f"{source}.Fields")
    assert fields is not None
    assert [(argument.name, argument.type, argument.required) for argument in fields.values()] == [
        ("first", int, True), ("second", float, False),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["swallows", "Stranger", "Imported"])
def test_what_the_source_does_not_say_is_unknown(name, source):
    assert arguments(f"{source}.{name}") is None
    assert checked(f"{source}.{name}", anything=1)["anything"] == 1


def test_a_target_that_is_not_there_is_an_error(source):
    with pytest.raises(AttributeError, match="nothing named 'bild'"):
        arguments(f"{source}.bild")
    with pytest.raises(ModuleNotFoundError, match=r"written_.*_package\.outer"):
        arguments(source.replace("inner", "outer") + ".build")
    with pytest.raises(ModuleNotFoundError, match="No module named 'nowhere_at_all'"):
        arguments("nowhere_at_all.build")
    assert names_in(source) == ["build", "swallows", "Base", "Child", "Bare", "Stranger", "Fields"]


# Values


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("rate", 1, 1.0), ("rate", "1e-3", 0.001), ("size", 3.0, 3), ("names", None, None),
        ("names", ["a", "b"], ["a", "b"]),
        ("pair", 4, 4), ("pair", [4, 5], [4, 5]), ("text", 2024, "2024"), ("by_name", {"ce": 1}, {"ce": 1.0}),
        ("on", True, True),
        ("lr", 1, 1.0), ("choice", True, True), ("choice", "warn", "warn"), ("mode", "b", "b"),
        ("path", {"a": 1}, {"a": 1}),
    ],
)  # fmt: skip
def test_a_value_becomes_of_its_arguments_type(key, given, expected, source):
    value = checked(f"{source}.build", **{key: given})[key]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("key", "given", "message"),
    [
        ("size", 2.5, r"part\.size takes a whole number; got 2\.5"),
        ("size", None, r"part\.size takes a whole number; got None"),
        ("rate", "abc", r"part\.rate takes a number; got 'abc'"),
        ("lr", "abc", r"part\.lr takes a number; got 'abc'"),
        ("on", "maybe", r"part\.on takes true or false; got 'maybe'"),
        ("text", ["a"], r"part\.text takes text; got"),
        ("names", "RED", r"part\.names takes .* or null; got 'RED'"),
        ("mode", "c", r"part\.mode has no value 'c'\. Allowed: a, b"),
        ("siz", 3, r"part has no key 'siz'\. "),
    ],
)
def test_a_value_of_another_type_or_a_wrong_key_is_refused(key, given, message, source):
    with pytest.raises(UserError, match=message):
        checked(f"{source}.build", **{key: given})


def test_hydras_own_keys_and_nested_targets_are_kept(source):
    nested = checked(f"{source}.build", _partial_=True, path={"_target_": f"{source}.Base", "width": 3.0})
    assert nested["_partial_"] is True
    assert nested["path"] == {"_target_": f"{source}.Base", "width": 3}
    with pytest.raises(UserError, match=r"part\.path\.width takes a whole number; got 'wide'"):
        checked(f"{source}.build", path={"_target_": f"{source}.Base", "width": "wide"})


def test_a_target_that_cannot_be_found_is_told_with_the_nearest(source):
    with pytest.raises(UserError, match=r"part\._target_=.*bild can't be found: .*Did you mean 'build'"):
        checked(f"{source}.bild")
    with pytest.raises(UserError, match=r"can't be found: No module named 'nowhere_at_all'"):
        checked("nowhere_at_all.build")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"seed": "one"}, r"^seed takes a whole number; got 'one'"),
        ({"debug": "often"}, r"^debug takes true or false; got 'often'"),
        ({"retry": "faled"}, r"^retry has no value 'faled'\. Did you mean 'failed'\? Allowed: failed, null"),
        ({"data": {"root": "???"}}, r"^data\.root is required: write data\.root=VALUE"),
        ({"head": {"width": "${nothing.here}"}}, r"nothing"),
    ],
)
def test_root_keys_required_values_and_interpolations_are_checked(config, message):
    with pytest.raises(UserError, match=message):
        check(OmegaConf.create(config), GROUPS)


def test_interpolations_are_resolved_and_plain_containers_returned():
    config = check(OmegaConf.create({"seed": 3, "data": {"seed": "${seed}", "bands": ["RED"]}, "study": 7}), GROUPS)
    assert config == {"seed": 3, "data": {"seed": 3, "bands": ["RED"]}, "study": "7"}
    assert type(config["data"]) is dict
    assert type(config["data"]["bands"]) is list


# What was wrong with an override


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["bakbone=prithvi"], "There is no group or key 'bakbone'. Did you mean 'backbone'"),
        (["backbone=pritvi"], "backbone has no option 'pritvi'. Did you mean 'prithvi'"),
        (["backbone.pretraned=true"], "backbone has no key 'pretraned'. Did you mean 'pretrained'"),
        (["decoder=fcn", "decoder.num_conv=2"], "decoder has no key 'num_conv'. Did you mean 'num_convs'"),
        (["backbone=prithvi,resnet5"], "backbone has no option 'resnet5'. Did you mean 'resnet50'"),
        (["decoder=unet", "backbone=resnet_50"], "backbone has no option 'resnet_50'. Did you mean 'resnet50'"),
        (["freeze_backbone=true"], "There is no group or key 'freeze_backbone'. Did you mean task.freeze_backbone?"),
        (["lr=1e-4"], "Did you mean optimizer.lr?"),
        (["task.lr=1e-4"], "task has no key 'lr'. There is optimizer.lr."),
        (["decoder=UNetDecoder"], "decoder has no option 'UNetDecoder'. Did you mean 'unet'"),
        (["backbone=resnet101"], "Any model of timm: backbone=timm backbone.name=NAME."),
        (
            ["seed=1", "neck.necks=[{name: SelectIndices, indices: 2,5}]"],
            "indices: 2,5}]' can't be read: a list is written [a, b]",
        ),
        (["data.groups={group}_*.tif"], """needs both quotes: write 'data.groups="{group}_*.tif"'."""),
        (["action.input={band}/*.tif"], """needs both quotes: write 'action.input="{band}/*.tif"'."""),
        (["action=evaluate", "data.root=NEW"], "Write 'action.data={root: NEW}' to change this of it"),
        (["action=evaluate", "data=geotiff", "data.rot=NEW"], "data has no key 'rot'. Did you mean 'root'? Allowed"),
        (["sed=1"], "There is no group or key 'sed'. Did you mean 'seed'"),
        (["optimizer.lr.first=1"], "optimizer.lr has no key 'first'"),
        (["prithvi"], "'prithvi' is not an override; write KEY=VALUE, such as"),
        (["prithvi"], "optimizer.lr=1e-3. Did you mean backbone=prithvi?"),
        (["help"], "optimizer.lr=1e-3. Did you mean --help?"),
        (["report"], "optimizer.lr=1e-3. Did you mean action=report?"),
        (["cosine"], "optimizer.lr=1e-3. Did you mean scheduler=cosine?"),
        (["backbone=[a"], "is cut off: put a value with spaces, brackets or braces into single quotes"),
    ],
)
def test_the_wrong_part_of_an_override_is_named_with_the_nearest_right_one(overrides, message):
    fault = diagnose(overrides, CONF)
    assert isinstance(fault, UserError)
    assert message in str(fault)


def test_a_word_that_nothing_is_called_is_not_guessed_at():
    assert str(diagnose(["nonsense"], CONF)).endswith("such as backbone=prithvi or optimizer.lr=1e-3.")


def test_right_overrides_have_no_fault():
    assert diagnose(["backbone=resnet50,vit", "optimizer.lr=1e-3,1e-4", "+added=1", "hydra.verbose=true"], CONF) is None


def test_groups_and_options_are_those_of_the_folder():
    assert {"backbone", "decoder", "neck"} < set(groups(CONF))
    assert "prithvi_eo_v2_300" in options(CONF, "backbone")


# Which bands are read


def bands(of_data: list[str] | None, of_backbone: list[str] | None, trained_on: list[str] | None = None) -> list[str]:
    config = {"data": {"bands": of_data}, "backbone": {"bands": of_backbone, "pretrained_bands": trained_on}}
    return chosen_bands(config, ["BLUE", "GREEN", "RED", "B8A", "VV"])


def test_named_bands_come_before_those_of_pretraining_and_those_before_all():
    assert bands(["RED", "BLUE"], None) == ["RED", "BLUE"]
    assert bands(None, ["RED"], ["GREEN"]) == ["RED"]
    assert bands(["B4"], ["RED"]) == ["B4"]
    assert bands(None, None, ["GREEN", "BLUE"]) == ["GREEN", "BLUE"]
    assert bands(None, None, ["GREEN", "SWIR_1"]) == ["BLUE", "GREEN", "RED", "B8A", "VV"]
    assert bands(None, None) == ["BLUE", "GREEN", "RED", "B8A", "VV"]


@pytest.mark.parametrize(
    ("of_data", "of_backbone", "message"),
    [
        (["RED"], ["GREEN"], "are one list; give one of them, or the same"),
        (["RED", "GREEN"], ["GREEN", "RED"], "are one list"),
        (["GREN"], None, "Unknown band 'GREN'. Did you mean 'GREEN'"),
        (None, ["GREN"], "Unknown band 'GREN'. Did you mean 'GREEN'"),
    ],
)
def test_bands_that_contradict_each_other_or_are_misspelt_are_refused(of_data, of_backbone, message):
    with pytest.raises(UserError, match=message):
        bands(of_data, of_backbone)
