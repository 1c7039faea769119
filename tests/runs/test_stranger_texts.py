"""Texts of a stranger's run that look harmless: names that are imported, keys with dots, and YAML that grows."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from geocompose.configuration.instantiation import instantiate
from geocompose.errors import UserError, visible
from geocompose.runs import Trust
from geocompose.runs.bounded_yaml import bounded_text
from tests.kit.places import CONF

TRUST = Trust([CONF])
HEAD = "geocompose.heads.regression.RegressionHead"


@pytest.mark.parametrize(
    "act", ["canary.Act", "os.system", "this.x", "torch.hub.load", "torch.nn", "torch.nn.init.zeros_"]
)
@pytest.mark.parametrize("key", ["final_act", "head_final_act", "deep.final_act"])
def test_an_activation_that_is_not_torchs_is_refused_with_its_place(act: str, key: str) -> None:
    with pytest.raises(UserError, match=rf"head\.{key} names '{act}'.*action\.trust=\[{act}\]"):
        TRUST.check({"head": {"_target_": HEAD, key: act}}, "config.yaml")


@pytest.mark.parametrize("act", [None, "torch.nn.ReLU", "torch.nn.modules.activation.Sigmoid", "my_lab.Act"])
def test_an_activation_of_torch_or_of_ones_own_is_allowed(act: str | None) -> None:
    Trust([CONF], ["my_lab.Act"]).check({"head": {"_target_": HEAD, "final_act": act}}, "config.yaml")


@pytest.mark.parametrize("key", ["x._target_", "x._args_", "a.b._partial_"])
def test_a_key_with_dots_does_not_hide_an_instruction(key: str) -> None:
    with pytest.raises(UserError, match=rf"model\.args\.{key} is not a setting"):
        TRUST.check({"model": {"args": {key: "os.mkdir"}}}, "flood.yaml")


def test_the_advice_keeps_what_was_typed_already() -> None:
    with pytest.raises(UserError, match=r"action\.trust=\[my_lab\.Net,my_lab\.Sgd\]"):
        Trust([CONF], ["my_lab.Net"]).check({"optimizer": {"_target_": "my_lab.Sgd"}}, "config.yaml")


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "a-${now:%Y}", "${.b}", "\\${oc.env:HOME}"])
@pytest.mark.parametrize("partial", [True, False])
def test_a_name_out_of_a_file_is_never_resolved(text: str, partial: bool) -> None:
    for node, place in (({"name": text}, "name"), ({"names": ["a", {"deep": text}]}, r"names\[1\]\.deep")):
        with pytest.raises(UserError, match=rf"^{place} must be a text without \$"):
            instantiate({"_target_": "builtins.dict", "_partial_": partial, **node})


def test_other_signs_in_names_are_left_alone() -> None:
    names = {"a": "$HOME", "b": "{x}", "c": "C:\\data", "d": "50 %"}
    assert instantiate({"_target_": "builtins.dict", **names}) == names


def lists_of_lists(levels: int) -> str:
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(["a0: &a0 [x]", *lines])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lists_of_lists(30), "more than 100,000 values"),
        ("a: &a [*a]", "more than 100,000 values"),
        ("a: " + "[" * 60 + "]" * 60, "nested more than 40 deep"),
        ("a: " + "[" * 100_000, "nested more than 40 deep"),
        ("a: " + "x" * 5_000_000, "larger than 4 MiB"),
    ],
)
def test_yaml_that_grows_is_refused_before_it_is_built(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        bounded_text(file)


def test_yaml_that_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(UserError, match="is not a file"):
        bounded_text(tmp_path / "config.yaml")


@pytest.mark.parametrize("content", [{}, {"a": [1, {"b": None}]}, [1], "x"])
def test_ordinary_yaml_is_returned_as_it_is(content: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(content))
    assert bounded_text(file) == file.read_text()


def test_what_commands_a_terminal_is_shown_as_text() -> None:
    assert visible("a\x1b[2J\x07b\u202ec\r\x9b") == r"a\x1b[2J\x07b\u202ec\r\x9b"
    for text in ("plain", "two\nlines\tand a tab", "\u00e9 \u00b5m \u2502", "a\u200db"):
        assert visible(text) == text
