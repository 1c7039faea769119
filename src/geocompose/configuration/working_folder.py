"""The current folder as a place of modules: only for the targets that a user has typed, and only where it has them."""

import ast
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from geocompose.runs.trust import IMPORTED


def targets_in(config: object) -> set[str]:
    """Return all targets that a composed configuration names, and those that `trust` lists in it."""
    if isinstance(config, list | tuple):
        return {target for value in config for target in targets_in(value)}
    if not isinstance(config, Mapping):
        return set()
    found = {target for value in config.values() for target in targets_in(value)}
    trusted = config.get("trust")
    named = [config.get("_target_"), config.get(IMPORTED), *(trusted if isinstance(trusted, list) else ())]
    return found | {target for target in named if isinstance(target, str)}


def search_working_folder(targets: Iterable[str]) -> None:
    """Have the modules of `targets` be found in the current folder, last of all places, and nothing else of it.

    What these import from beside themselves is found too. Other modules of the folder, plugins and entry points are
    not: a library that looks for an optional package does not get the folder's.
    """
    here = os.getcwd()
    if here in sys.path:
        return
    names = _reached({target.partition(".")[0] for target in targets}, here)
    if names:
        sys.meta_path.append(_OwnModules(here, names))


class _OwnModules(MetaPathFinder):
    """Finds modules of these names in a folder."""

    def __init__(self, folder: str, names: set[str]) -> None:
        self._folder, self._names = folder, names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is, or None where it is not one of these; modules in a package find themselves."""
        return PathFinder.find_spec(fullname, [self._folder]) if path is None and fullname in self._names else None


def _reached(names: set[str], folder: str) -> set[str]:
    """Return those of `names` that only the folder has, and the modules beside them that their source imports."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        spec = PathFinder.find_spec(name, [folder]) if name and _spec(name) is None else None
        if spec is None:
            continue
        found.add(name)
        places = [Path(place) for place in spec.submodule_search_locations or ()]
        files = [file for place in places for file in place.rglob("*.py")] or [Path(str(spec.origin))]
        waiting |= {module for file in files if file.suffix == ".py" for module in _imports(file)} - found
    return found


def _imports(file: Path) -> set[str]:
    """Return the modules that a file imports by their full names, their first part."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, OSError):
        return set()  # importing it says what is wrong
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            modules.add(node.module)
    return {module.partition(".")[0] for module in modules}


def _spec(module: str) -> object:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):  # ValueError: a module without a spec, such as __main__
        return None
