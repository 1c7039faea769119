"""Arguments are read from where a class is written: over re-exports, bases, inherited fields and named types."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from geocompose.configuration.checking import check_node
from geocompose.configuration.signatures import arguments, names_in
from geocompose.errors import UserError

Write = Callable[[Mapping[str, str]], str]
NET = """
raise RuntimeError("this module is read, never imported")
class Net:
    def __init__(self, in_chans: int, width: int = 8): ...
_hidden = 1
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Write:
    """Write a package's files and return its name. PACKAGE in them is that name."""
    name = f"package_{abs(hash(request.node.nodeid)):x}"
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(files: Mapping[str, str]) -> str:
        for path, text in {"__init__.py": "", **files}.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("PACKAGE", name))
        return name

    return write


def read(target: str) -> list[str] | None:
    found = arguments(target)
    return None if found is None else list(found)


# Re-exports. Each case: the package's files beside net.py, and what is asked for in it.

REEXPORTS: dict[str, tuple[dict[str, str], str]] = {
    "relative": ({"__init__.py": "from .net import Net"}, "Net"),
    "absolute": ({"__init__.py": "from PACKAGE.net import Net"}, "Net"),
    "renamed": ({"__init__.py": "from .net import Net as Backbone"}, "Backbone"),
    "module": ({"__init__.py": "from . import net"}, "net.Net"),
    "module renamed": ({"__init__.py": "from . import net as layers"}, "layers.Net"),
    "absolute module renamed": ({"__init__.py": "import PACKAGE.net as layers"}, "layers.Net"),
    "alias": ({"__init__.py": "from .net import Net\nBackbone = Net"}, "Backbone"),
    "annotated alias": ({"__init__.py": "from .net import Net\nBackbone: type = Net"}, "Backbone"),
    "alias of a module's class": ({"__init__.py": "from . import net\nBackbone = net.Net"}, "Backbone"),
    "alias of its own name": ({"__init__.py": "from . import net\nNet = net.Net"}, "Net"),
    "star": ({"__init__.py": "from .net import *"}, "Net"),
    "star of two": ({"__init__.py": "from .net import *\nfrom .other import *", "other.py": "x = 1"}, "Net"),
    "star and list": ({"__init__.py": "from .a import *", "a.py": "from .net import Net\n__all__ = ['Net']"}, "Net"),
    "depth 2": ({"__init__.py": "from .a import Net", "a/__init__.py": "from ..net import Net"}, "Net"),
    "depth 3": (
        {
            "__init__.py": "from .a import *",
            "a/__init__.py": "from .b import N as Net",
            "a/b.py": "from ..net import Net as N",
        },
        "Net",
    ),
    "two levels up": ({"a/b/__init__.py": "from ...net import Net"}, "a.b.Net"),
    "module two levels up": ({"a/b/__init__.py": "from ... import net"}, "a.b.net.Net"),
    "a module that re-exports": ({"a.py": "from .net import Net"}, "a.Net"),
    "a module's name is the class's": ({"__init__.py": "from .Net import Net", "Net.py": NET}, "Net"),
    "try": ({"__init__.py": "try:\n    from .net import Net\nexcept ImportError:\n    Net = None"}, "Net"),
    "try falls to the next": (
        {"__init__.py": "try:\n    from not_there import Net\nexcept ImportError:\n    from .net import Net"}, "Net",
    ),
    "if": ({"__init__.py": "import os\nif os.name:\n    from .net import Net"}, "Net"),
    "both branches": (
        {"__init__.py": "if x:\n    from .net import Net\nelse:\n    from PACKAGE.net import Net"}, "Net",
    ),
    "type checking": ({"__init__.py": "if TYPE_CHECKING:\n    from .net import Net\nelse:\n    Net = later()"}, "Net"),
    "the last counts": ({"__init__.py": "class Net: ...\nfrom .net import Net\nNet.__doc__ = ''"}, "Net"),
    "a child": ({"__init__.py": "from .net import Net\nclass Child(Net): ..."}, "Child"),
    "a child by its module": ({"__init__.py": "from . import net\nclass Child(net.Net): ..."}, "Child"),
    "a child's child": (
        {
            "__init__.py": "from .a import Child\nclass Last(Child): ...",
            "a.py": "from .net import Net as N\nclass Child(N): ...",
        },
        "Last",
    ),
    "a class within a class": ({"__init__.py": "class Outer:\n    from .net import Net"}, "Outer.Net"),
    "a folder without __init__": ({"__init__.py": "from .a.b import Net", "a/b.py": "from ..net import Net"}, "Net"),
}  # fmt: skip


@pytest.mark.parametrize("case", REEXPORTS)
def test_a_re_exported_class_has_the_arguments_of_where_it_is_written(case, package):
    files, name = REEXPORTS[case]
    assert read(f"{package({'net.py': NET, **files})}.{name}") == ["in_chans", "width"]


UNKNOWN = {
    "one of two": "if x:\n    from .net import Net\nelse:\n    from not_there import Net",
    "a call": "from .net import Net as N\nNet = wrapped(N)",
    "a decorator": "@wrapped\nclass Net:\n    def __init__(self, width): ...",
    "a decorated constructor": "class Net:\n    @wrapped\n    def __init__(self, width): ...",
    "a metaclass": "class Net(metaclass=Wrapping):\n    def __init__(self, width): ...",
    "a constructor by assignment": "class Net:\n    __init__ = made()",
    "an unknown first base": "from not_there import Other\nfrom .net import Net as N\nclass Net(Other, N): ...",
    "names on demand": "def __getattr__(name): ...",
    "not there": "from not_there import Net",
    "star of what is not there": "from not_there import *",
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_source_does_not_tell_is_not_guessed(case, package):
    assert arguments(f"{package({'net.py': NET, '__init__.py': UNKNOWN[case]})}.Net") is None


@pytest.mark.parametrize("line", ["register", "REGISTRY.register", "REGISTRY.register_module()", "final"])
def test_a_decorator_that_keeps_the_class_keeps_its_arguments(line, package):
    source = f"@{line}\nclass Net:\n    def __init__(self, a): ..."
    assert read(f"{package({'__init__.py': source})}.Net") == ["a"]


def test_imports_in_a_circle_end(package):
    name = package({"__init__.py": "from .a import Net", "a.py": "from .b import Net", "b.py": "from .a import Net"})
    assert arguments(f"{name}.Net") is None


def test_a_name_that_is_missing_is_told_with_those_of_the_package(package):
    name = package({"__init__.py": "from .net import Net as Backbone", "net.py": NET})
    with pytest.raises(AttributeError, match=f"'{name}' has nothing named 'Net'"):
        arguments(f"{name}.Net")
    assert names_in(name) == ["Backbone"]
    with pytest.raises(UserError, match="Did you mean 'Backbone'"):
        check_node("backbone", {"_target_": f"{name}.Backbon"})


def test_a_star_brings_what_its_module_lists_and_perhaps_more_when_it_runs(package):
    listing = {"__init__.py": "from .net import *\nfrom .other import *", "net.py": NET}
    other = "__all__ = []\nclass Net: ...\n@register\ndef adds_itself_to_all(): ..."
    name = package({**listing, "other.py": other})
    assert read(f"{name}.Net") == ["in_chans", "width"]
    for missing in ("adds_itself_to_all", "_hidden", "Nett"):
        assert arguments(f"{name}.{missing}") is None


def test_a_module_of_very_many_stars_is_not_followed(package):
    stars = {"__init__.py": "from .net import *\n" * 100, "net.py": NET}
    assert arguments(f"{package(stars)}.Net") is None


# Bases


def test_a_class_has_the_constructor_of_the_first_class_in_pythons_order_that_has_one(package):
    source = """
from .a import A
class B(A): ...
class C(A):
    def __init__(self, of_c): ...
class Diamond(B, C): ...
class Made:
    def __new__(cls, of_new): ...
"""
    name = package({"__init__.py": source, "a.py": "class A:\n    def __init__(self, of_a): ..."})
    assert read(f"{name}.Diamond") == ["of_c"]
    assert read(f"{name}.B") == ["of_a"]
    assert read(f"{name}.Made") == ["of_new"]


# Dataclasses

BASE = """
from dataclasses import dataclass
from typing import Literal
Unit = Literal["m", "km"]
@dataclass
class Base:
    width: int
    unit: Unit = "m"
"""
CHILD = """
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import ClassVar
from .base import Base, Unit as Length
Lengths = list[Length]

@dataclass(kw_only=True)
class Child(Base):
    kind: ClassVar[str] = "net"
    _: KW_ONLY
    width: float = 1.0
    depths: Lengths = field(default_factory=list)
    names: "list[str] | None" = field(default=None)
    needed: int = field(repr=False)
    once: InitVar[int] = 1
    built: int = field(init=False)

class Plain(Child):
    more: int = 1

@dataclass(init=False)
class Without(Plain):
    never: int = 1
"""


@pytest.mark.parametrize("name", ["Child", "Plain", "Without"])
def test_a_dataclass_has_the_fields_of_its_bases_too(name, package):
    found = arguments(f"{package({'base.py': BASE, '__init__.py': CHILD})}.{name}")
    assert found is not None
    kinds: list[tuple[str, Any, bool]] = [(field.name, field.type, field.required) for field in found.values()]
    unit = Literal["m", "km"]
    assert kinds == [
        ("width", float, False), ("unit", unit, False), ("depths", list[unit], False),
        ("names", list[str] | None, False), ("needed", int, True), ("once", int, False),
    ]  # fmt: skip


def test_a_dataclass_of_an_unknown_base_is_unknown(package):
    source = (
        "from dataclasses import dataclass\nfrom not_there import Base\n@dataclass\nclass Net(Base):\n    width: int"
    )
    assert arguments(f"{package({'__init__.py': source})}.Net") is None


def test_a_named_type_of_another_module_is_checked(package):
    name = package({"base.py": BASE, "__init__.py": "from .base import Base"})
    node = {"_target_": f"{name}.Base", "width": 3, "unit": "km"}
    assert check_node("part", node) == node
    with pytest.raises(UserError, match=r"part.unit has no value 'mile'.*m, km"):
        check_node("part", {**node, "unit": "mile"})


NOT_PLAIN: dict[str, Any] = {"dict[str, 'Later']": {"a": 1}, "list[Later]": [1, "a"], "made(int)": "a"}


@pytest.mark.parametrize("written", NOT_PLAIN)
def test_a_named_type_that_is_not_plain_takes_anything(written, package):
    name = package({"__init__.py": f"Later = {written}\ndef build(x: Later): ..."})
    assert check_node("part", {"_target_": f"{name}.build", "x": NOT_PLAIN[written]})["x"] == NOT_PLAIN[written]


def test_a_path_is_a_text_in_a_configuration(package):
    name = package({"__init__.py": "from pathlib import Path\ndef build(file: Path | None = None): ..."})
    assert check_node("part", {"_target_": f"{name}.build", "file": "a.pt"})["file"] == "a.pt"
