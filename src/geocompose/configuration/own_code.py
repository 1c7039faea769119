"""The source of a user's own code: of each `_target_` outside this package, and of what it imports of the user's own.

A part that another package offers by an entry point counts like the `_target_` that it stands for.

Own is what lies outside site-packages and the standard library (the working folder, a folder of PYTHONPATH, an editable
installation), and a package that pip installed from a folder or a repository. Of a package from an index the version
says which code it is; of geocompose itself and its dependencies, the record does.
"""

import ast
import hashlib
import importlib.util
import json
import os
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from geocompose.catalog.entry_points import places
from geocompose.catalog.origin import is_ours
from geocompose.runs.atomic import explained
from geocompose.runs.environment import OPTIONAL_PACKAGES, PACKAGES
from geocompose.runs.keys import is_any, walk
from geocompose.runs.trust import IMPORTED

# Where names stand for parts, and of which kind.
_NAMED: Mapping[tuple[str, ...], str] = {("neck", "necks"): "neck", ("backbone", "parts"): "backbone"}
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class OwnCode:
    """What a configuration names beside the installed packages that every record lists.

    files: what the source files hold, by their names below the folder where the modules were found. versions: of
    further installed packages.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """One hash (hex) over names and contents, the same wherever the files lie."""
        contents = sorted((name, hashlib.sha256(content).hexdigest()) for name, content in self.files.items())
        return hashlib.sha256(json.dumps([contents, sorted(self.versions.items())]).encode()).hexdigest()

    def changes_since(self, kept: Path) -> list[str]:
        """Return what differs from the text that a run kept, a file each with what happened to it."""
        there = {
            path.relative_to(kept).as_posix(): path
            for folder, _, names in os.walk(kept)
            for path in (Path(folder) / name for name in names)
        }
        told = [f"{name} (new)" for name in self.files if name not in there]
        told += [f"{name} (gone)" for name in there if name not in self.files]
        told += [f"{name} (changed)" for name, path in there.items() if self._differs(name, path)]
        return sorted(told)

    def _differs(self, name: str, path: Path) -> bool:
        if name not in self.files:
            return False
        with explained(path, "read"):
            # A file of another size, or no file at all, is not read.
            return (
                path.is_symlink()
                or not path.is_file()
                or path.stat().st_size != len(self.files[name])
                or path.read_bytes() != self.files[name]
            )


def own_code(config: Mapping[str, Any], volatile: Iterable[str] = ()) -> OwnCode | None:
    """Return the user's own code that a configuration names; None where all of it is geocompose's and its libraries'.

    Nothing is imported. Code that is found by other ways than `import` and our entry points (importlib, other
    plugins), and data files that it reads, are not in it.

    volatile: patterns of keys of which the result does not depend, such as the logger.

    Raises:
        UserError: a source file can't be read.
    """
    return code_of(foreign_targets(config, volatile))


def code_of(targets: Iterable[str]) -> OwnCode | None:
    """Return the user's own code behind `foreign_targets`; see `own_code`."""
    files: dict[str, bytes] = {}
    versions: dict[str, str] = {}
    waiting = sorted(targets)
    named = set(waiting)
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        found = _sources(module)
        if found is None:
            if module in named:  # not what own modules import: those are in the record, or of no matter
                versions |= _version(module.partition(".")[0])
            continue
        for name, path in found:
            if name not in files:
                with explained(path, "read"):
                    files[name] = path.read_bytes()
                if path.suffix == ".py":
                    waiting += _imports(files[name], name)
    return OwnCode(files, versions) if files or versions else None


def foreign_targets(config: Mapping[str, Any], volatile: Iterable[str] = ()) -> frozenset[str]:
    """Return the targets that a configuration names outside of geocompose. volatile: see `own_code`."""
    patterns = tuple(volatile)
    found: set[str] = set()
    for key, value in walk(config):
        if isinstance(value, str) and (kind := _kind_named(key)) is not None:
            found.update(place for place in places(kind, value) if not is_ours(place))
        if not isinstance(value, str) or not key or not (key[-1] == "_target_" or key[-1].endswith(IMPORTED)):
            continue
        counts = not any(is_any(patterns, key[:length]) for length in range(1, len(key) + 1))
        if counts and "." in value and not is_ours(value):
            found.add(value)
    return frozenset(found)


def _kind_named(key: tuple[str, ...]) -> str | None:
    """Return the kind of part that a text names under this key: an item of the list, or its `name`."""
    inner = key[2:]
    return _NAMED.get(key[:2]) if len(inner) == 1 or (len(inner) == 2 and inner[1] == "name") else None


def _sources(module: str) -> list[tuple[str, Path]] | None:
    """Return the source files of a module, by name; of one within a package all of the package's.

    module: its name, with more behind it (`nets.Net.small`) or not. None: it is installed, or not there.
    """
    top, *inner = module.split(".")
    spec = _spec(top)
    if spec is None or top == "geocompose":
        return None
    file = Path(spec.origin) if spec.origin and spec.origin not in ("built-in", "frozen") else None
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    lies = file or next(iter(places), None)
    if lies is None or _is_foreign(lies, top):
        return None
    if file is not None:
        return list(_within(file.parent, top)) if file.name == "__init__.py" else [(file.name, file)]
    # A folder without __init__.py is no whole: a folder of scripts is one too.
    name = top
    for part in inner:
        name = f"{name}/{part}"
        for place in places:
            if (place / part / "__init__.py").is_file():
                return list(_within(place / part, name))
            if (place / f"{part}.py").is_file():
                return [(f"{name}.py", place / f"{part}.py")]
        places = [place / part for place in places if (place / part).is_dir()]
    return []


def _within(package: Path, name: str) -> Iterator[tuple[str, Path]]:
    for folder, folders, files in os.walk(package):
        folders[:] = sorted(each for each in folders if each not in _INSTALLED and not each.startswith((".", "__py")))
        for file in sorted(files):
            if file.endswith(".py"):
                path = Path(folder) / file
                yield f"{name}/{path.relative_to(package).as_posix()}", path


def _imports(source: bytes, name: str) -> list[str]:
    """Return the full names of what a source file imports, with names taken out of modules behind them."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []  # importing it says what is wrong
    package = name.split("/")[:-1]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*start, *([node.module] if node.module else [])])
            found += [f"{origin}.{alias.name}" if origin else alias.name for alias in node.names]
    return found


def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):  # ValueError: a module without a spec, such as __main__
        return None


def _is_foreign(file: Path, top: str) -> bool:
    """Return whether a module is the library's of somebody else."""
    paths = sysconfig.get_paths()
    if any(part in _INSTALLED for part in file.parts):
        return not _is_of_a_folder(top)
    return any(file.is_relative_to(paths[kind]) for kind in ("stdlib", "platstdlib"))


def _is_of_a_folder(top: str) -> bool:
    """Return whether pip installed a package from a folder or a repository: its version says little then."""
    from importlib import metadata

    name = _distribution(top)
    return name is not None and metadata.distribution(name).read_text("direct_url.json") is not None


def _version(top: str) -> dict[str, str]:
    """Return the version of an installed package that records don't list anyway."""
    from importlib import metadata

    name = _distribution(top)
    listed = {_normal(each) for each in (*PACKAGES, *OPTIONAL_PACKAGES)}
    return {} if name is None or _normal(name) in listed else {name: metadata.version(name)}


def _distribution(top: str) -> str | None:
    if _normal(top) in {_normal(each) for each in PACKAGES}:  # by far the most, without looking through all
        return next(each for each in PACKAGES if _normal(each) == _normal(top))
    return next(iter(_distributions().get(top, ())), None)


@cache
def _distributions() -> Mapping[str, list[str]]:
    from importlib import metadata

    return metadata.packages_distributions()


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")
