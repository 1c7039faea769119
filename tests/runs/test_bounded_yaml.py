"""YAML of a stranger is read in bounds, also by the quick way."""

import pytest
import yaml

from geocompose.errors import UserError
from geocompose.runs.bounded_yaml import bounded_text, bounded_yaml
from tests.kit.places import ROOT

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests" / "recorded").glob("*/config.yaml")), ids=lambda p: p.parent.name
)
def test_the_quick_way_reads_what_the_usual_one_does(path):
    assert bounded_yaml(path) == yaml.safe_load(bounded_text(path)) == yaml.safe_load(path.read_text())


@pytest.mark.parametrize("read", [bounded_text, bounded_yaml])
@pytest.mark.parametrize(
    "text",
    [BOMB, "a: &a [*a]\n", "- x\n" * 101_000, "x" * 5_000_000, "&a " + "[" * 60 + "]" * 60],
    ids=["aliases", "itself", "many", "large", "deep"],
)
def test_what_becomes_more_than_a_configuration_is_refused(tmp_path, read, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"larger than|more than|deep"):
        read(path)


@pytest.mark.parametrize("text", ["[" * 50_000, "a: [1", "a: !!python/object/apply:os.system [ls]", "\t- a: b"])
def test_what_is_not_plain_yaml_raises_and_executes_nothing(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises((UserError, yaml.YAMLError)):
        bounded_yaml(path)


def test_an_empty_file_is_nothing(tmp_path):
    (tmp_path / "config.yaml").write_text("# nothing\n")
    assert bounded_yaml(tmp_path / "config.yaml") is None
