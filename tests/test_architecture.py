"""The order of the rooms: who may import whom, which rooms never load torch, and no circle anywhere."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kit.places import ROOT

SOURCE = ROOT / "src"
PACKAGE = "geocompose"

# The rooms, lowest first; rooms of one line stand side by side and don't import each other. A room is a module at the
# top of the package or a folder, and imports from its own and from lower lines alone.
ORDER = [
    ("errors", "program"),
    ("arguments",),
    ("imagery",),
    ("scores", "contracts"),
    ("statistics",),
    ("catalog",),
    ("registry",),
    ("parts",),
    ("necks", "heads", "figures", "runs"),
    ("decoders", "backbones"),
    ("models",),
    ("planning", "peft"),
    ("wiring",),
    ("trial",),
    ("autoencoding",),
    ("factory",),
    ("configuration",),
    ("experiment",),
    ("data",),
    ("tasks",),
    ("from_config",),
    ("inference", "cost", "cache"),
    ("console",),
    ("training", "doctor"),
    ("studies", "export", "migration"),
    ("launchers",),
    ("search", "reports"),
    ("lean_torchmetrics",),
    ("cli",),
    ("actions",),
    ("loading", "composing", "__main__"),
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}

# Rooms that answer before torch is loaded: nothing that they import when they are imported loads one of these.
TORCH_FREE = (
    "errors",
    "program",
    "imagery",
    "catalog",
    "configuration",
    "runs",
    "statistics",
    "studies",
    "launchers",
    "reports",
    "search",
    "console",
    "cli",
    "experiment",
)
HEAVY = {"torch", "torchvision", "lightning", "timm", "segmentation_models_pytorch", "peft", "transformers", "torchgeo"}


class Import(NamedTuple):
    """An import of a module: which, in which line, and whether it happens when the importing module is imported."""

    target: str
    line: int
    at_once: bool


def modules() -> dict[str, Path]:
    """Return the package's modules by their dotted names."""
    found = {}
    for path in sorted((SOURCE / PACKAGE).rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def _imports(tree: ast.Module) -> Iterator[Import]:
    """Yield a module's imports; those for type checkers and those in functions don't happen at once."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, True)]
    while waiting:
        node, at_once = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute here"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield Import(inner if inner in MODULES else module, node.lineno, at_once)
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        later = later or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        waiting.extend((child, at_once and not later) for child in ast.iter_child_nodes(node))


@cache
def imports_of(module: str) -> tuple[Import, ...]:
    """Return the imports that a module's source names."""
    return tuple(_imports(ast.parse(MODULES[module].read_text(encoding="utf-8"))))


def room_of(module: str) -> str:
    """Return the room that a module belongs to."""
    return module.split(".")[1]


def inner_imports() -> Iterator[tuple[str, Import]]:
    """Yield each import of one module of the package by another; the package's own front door is in no room."""
    for module in MODULES:
        if module == PACKAGE:
            continue
        for found in imports_of(module):
            if found.target in MODULES and found.target != module:
                yield module, found


def test_every_room_has_a_place_in_the_order():
    rooms = {room_of(module) for module in MODULES if module != PACKAGE}
    assert rooms == set(LEVEL), "a new room needs a line in ORDER, and a removed one leaves it"


def test_rooms_import_from_lower_rooms_alone():
    up = [
        f"{MODULES[module].relative_to(SOURCE)}:{found.line} imports {found.target}"
        for module, found in inner_imports()
        if room_of(module) != room_of(found.target) and LEVEL[room_of(module)] <= LEVEL[room_of(found.target)]
    ]
    assert up == []


def test_importing_the_package_loads_nothing_of_it():
    assert [found.target for found in imports_of(PACKAGE) if found.at_once and found.target != "typing"] == []


def test_no_modules_import_each_other_in_a_circle():
    arrows: dict[str, set[str]] = {module: set() for module in MODULES}
    for module, found in inner_imports():
        arrows[module].add(found.target)
    assert circles(arrows) == []


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that reach each other."""
    reached = {module: _reachable(module, arrows) for module in arrows}
    groups = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in arrows
        if module in reached[module]
    }
    return sorted(sorted(group) for group in groups)


def _reachable(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(arrows[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(arrows[module])
    return seen


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


@pytest.mark.parametrize("room", TORCH_FREE)
def test_a_room_that_answers_before_torch_is_loaded_imports_nothing_that_loads_it(room):
    heavy = []
    for module in (each for each in MODULES if each != PACKAGE and room_of(each) == room):
        for loaded in _loaded_with(module):
            heavy += [
                f"{module} loads {loaded}, which imports {found.target}"
                for found in imports_of(loaded)
                if found.at_once and found.target.partition(".")[0] in HEAVY
            ]
    assert sorted(set(heavy)) == []


def _loaded_with(module: str) -> set[str]:
    """Return the package's modules that importing one loads: it, what it imports, and the packages around them."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in MODULES:
            continue
        seen.add(name)
        waiting.append(name.rpartition(".")[0])
        waiting.extend(found.target for found in imports_of(name) if found.at_once)
    return seen
