"""A library's parts as a source of a registry."""

import pytest

from geocompose.catalog.sources import NamedParts
from geocompose.errors import UserError


def build(name: str, width: int = 1) -> tuple[str, int]:
    return name, width


def test_listed_names_are_built_by_the_one_builder_and_no_others():
    parts = NamedParts(build, lambda: ("a", "b"))
    assert (list(parts), len(parts), "a" in parts, "c" in parts) == (["a", "b"], 2, True, False)
    assert parts["b"](width=3) == ("b", 3)
    with pytest.raises(KeyError):
        parts["c"]
    assert parts.further("c") is None


def test_names_that_are_not_listed_may_be_answered_too():
    parts = NamedParts(build, lambda: ("a",), has=lambda name: name in ("a", "refused"))
    assert list(parts) == ["a"]
    assert "refused" in parts
    assert parts["refused"]() == ("refused", 1)


def test_a_name_may_be_refused_when_it_is_looked_up():
    def check(name: str) -> None:
        if name == "refused":
            raise UserError("refused is not here, because it is too large")

    parts = NamedParts(build, lambda: ("a",), has=lambda name: name in ("a", "refused"), check=check)
    assert "refused" in parts
    with pytest.raises(UserError, match="too large"):
        parts["refused"]
    assert parts["a"]() == ("a", 1)


def test_the_name_may_be_any_argument_of_the_builder():
    def wide(width: int, name: str) -> tuple[str, int]:
        return name, width

    assert NamedParts(wide, lambda: ("a",), argument="name")["a"](3) == ("a", 3)


def test_what_only_the_library_knows_is_a_further_name_and_not_listed():
    parts = NamedParts(build, lambda: ("a",), has_further=lambda name: name == "new")
    assert "new" not in parts
    assert parts.further("new")() == ("new", 1)
