"""The page of public names: each is there, is documented, and the package's own `__all__` is on it."""

import importlib
import inspect
import re

import pytest

import geocompose
from tests.kit.places import ROOT

NAMES = re.findall(r"^\| `(geocompose[\w.]*)` \|", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_and_documented(name):
    module, _, last = name.rpartition(".")
    found = getattr(importlib.import_module(module), last)
    # An object, such as a registry, is documented by its class.
    documented = found if inspect.isclass(found) or inspect.isfunction(found) else type(found)
    assert len(inspect.getdoc(documented) or "") > 40


def test_what_the_package_offers_is_on_the_page():
    assert len(NAMES) == len(set(NAMES)) > 20
    offered = {f"geocompose.{name}" for name in geocompose.__all__ if not name.startswith("__")}
    assert offered == {name for name in NAMES if name.count(".") == 1}
