"""Where a dotted name is defined: its source is found and read, over re-exports, and no module is imported.

Importing a package runs its `__init__`, which for most parts loads torch; reading takes milliseconds. What source alone
doesn't tell, such as a name that is made at run time, is unknown, never guessed.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from geocompose.configuration.conditions import decided
from geocompose.configuration.module_source import Module, blocks, imported_from, names, public_names, read


@dataclass(frozen=True)
class Definition:
    """A class, a function, or the right side of an assignment at module level, and the module that it stands in."""

    node: ast.ClassDef | ast.FunctionDef | ast.expr
    module: Module


@dataclass(frozen=True)
class Alternatives:
    """What a name may be bound to, where that depends on a condition that source doesn't decide."""

    definitions: tuple[Definition, ...]


Found = Module | Definition | Alternatives | None  # None: bound, but source alone doesn't tell to what
# A module that collects more modules by `import *` (all models of timm, of transformers) would take seconds to follow.
_MOST_STARS = 20
Trail = frozenset[str]  # the names that led here, so that imports in a circle end


class _NotBoundError(Exception):
    """Nothing in these statements binds the name."""


def find(target: str) -> Found:
    """Return where a dotted name is defined, or None where source doesn't tell.

    Raises:
        ModuleNotFoundError, AttributeError: there is no such module, or nothing of that name in it.
    """
    return _find(target, frozenset())


def look_up(name: str, module: Module) -> Found:
    """Return what a name, dotted or not, means in a module; None also where the module doesn't bind it."""
    first, *rest = name.split(".")
    try:
        found = _bound(module.tree.body, first, module, frozenset())
        for part in rest:
            found = _member(found, part, frozenset())
    except (_NotBoundError, ModuleNotFoundError, AttributeError):
        return None
    return found


def attribute(definition: Definition, name: str) -> Found:
    """Return what a class's own body binds to a name, such as `__init__`.

    Raises:
        AttributeError: the class's body doesn't bind it; a base may.
    """
    return _member(definition, name, frozenset())


def _find(target: str, trail: Trail) -> Found:
    holder, _, name = target.rpartition(".")
    if not holder:
        return read(name)
    try:
        module: Found = read(holder)
    except ModuleNotFoundError as error:
        # `package.layers.Net`, where the package says `from . import net as layers`; or a class within a class.
        if "." not in holder:
            raise
        try:
            module = _find(holder, trail)
        except AttributeError:
            raise error from None
    return _member(module, name, trail)


def _member(holder: Found, name: str, trail: Trail) -> Found:
    if holder is None or isinstance(holder, Alternatives):
        return None
    if isinstance(holder, Definition) and not isinstance(holder.node, ast.ClassDef):
        return None
    if isinstance(holder, Definition):
        assert isinstance(holder.node, ast.ClassDef)
        try:
            return _bound(holder.node.body, name, holder.module, trail)
        except _NotBoundError:
            raise AttributeError(f"class {holder.node.name!r} has nothing named {name!r}") from None
    dotted = f"{holder.name}.{name}"
    try:
        if dotted in trail:
            raise _NotBoundError
        return _bound(holder.tree.body, name, holder, trail | {dotted})
    except _NotBoundError:
        pass
    try:
        return read(dotted)  # `from package import module`
    except ModuleNotFoundError:
        pass
    bound = list(names(holder.tree.body))
    # `__getattr__` makes names when they are asked for; what `*` brings may enter a module's `__all__` as it runs.
    if "__getattr__" in bound or "*" in bound:
        return None
    raise AttributeError(f"module {holder.name!r} has nothing named {name!r}")


def _bound(statements: Sequence[ast.stmt], name: str, module: Module, trail: Trail) -> Found:
    """Return what statements bind a name to. The last binding counts, as it does when they run.

    Raises:
        _NotBoundError: none of them binds it.
    """
    for place in reversed(range(len(statements))):
        node = statements[place]
        try:
            if isinstance(node, ast.If):
                return _either(_branches(node, statements[:place], name), name, module, trail)
            if isinstance(node, ast.For | ast.While | ast.Match):  # any of the blocks may run, or none
                return _either([*blocks(node), list(statements[:place])], name, module, trail)
            if isinstance(node, ast.Try):
                return _tried(node, name, module, trail)
            if isinstance(node, ast.With):
                return _bound(node.body, name, module, trail)
            if isinstance(node, ast.ImportFrom):
                return _imported(node, name, module, trail)
        except _NotBoundError:
            continue
        if name not in names([node]):
            continue
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            return Definition(node, module)
        if isinstance(node, ast.Import):
            return _module_imported(node, name)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            return _assigned(node.value, module, statements[:place], trail)
        return None
    raise _NotBoundError


def _tried(node: ast.Try, name: str, module: Module, trail: Trail) -> Found:
    """Return what the first block gives that leads to a definition: an import that isn't there falls to the next."""
    bound = False
    for block in blocks(node):
        try:
            found = _bound(block, name, module, trail)
        except _NotBoundError:
            continue
        if found is not None:
            return found
        bound = True
    if bound:
        return None
    raise _NotBoundError


def _branches(node: ast.If, before: Sequence[ast.stmt], name: str) -> list[list[ast.stmt]]:
    """Return the blocks that may bind a name last: of a condition that can be decided, the one that runs."""
    if ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":  # what it means to a reader is what it says there
        return [block for block in blocks(node) if name in names(block) or "*" in names(block)][:1]
    holds = decided(node.test)
    if holds is not None:
        return [node.body if holds else node.orelse]
    return blocks(node) if node.orelse or name not in names(node.body) else [node.body, list(before)]


def _either(branches: Sequence[Sequence[ast.stmt]], name: str, module: Module, trail: Trail) -> Found:
    """Return what any of the branches binds a name to, all of them where they differ."""
    found = []
    for block in branches:
        try:
            found.append(_bound(block, name, module, trail))
        except _NotBoundError:
            continue
    if not found:
        raise _NotBoundError
    # `Net = None` stands for what is not there, and can't be what is meant.
    found = [one for one in found if not _is_null(one)] or found
    if all(one == found[0] for one in found):
        return found[0]
    definitions: list[Definition] = []
    for one in found:
        if one is None or isinstance(one, Module):
            return None
        definitions += one.definitions if isinstance(one, Alternatives) else [one]
    return Alternatives(tuple(dict.fromkeys(definitions)))


def _is_null(found: Found) -> bool:
    return isinstance(found, Definition) and isinstance(found.node, ast.Constant) and found.node.value is None


def _imported(node: ast.ImportFrom, name: str, module: Module, trail: Trail) -> Found:
    source = imported_from(node, module)
    for alias in reversed(node.names):
        if alias.name == "*":
            found = None if module.num_stars > _MOST_STARS else _of_all_names(source, name, trail)
        elif name == (alias.asname or alias.name):
            found = _if_there(f"{source}.{alias.name}", trail)
        else:
            continue
        return found
    raise _NotBoundError


def _of_all_names(source: str, name: str, trail: Trail) -> Found:
    try:
        module = read(source)
    except ModuleNotFoundError:
        return None
    if module is None:
        return None
    listed = public_names(module)
    if name not in listed if listed is not None else name.startswith("_"):
        raise _NotBoundError
    dotted = f"{source}.{name}"
    if dotted in trail:
        raise _NotBoundError
    return _bound(module.tree.body, name, module, trail | {dotted})


def _module_imported(node: ast.Import, name: str) -> Found:
    for alias in node.names:
        if name == (alias.asname or alias.name.partition(".")[0]):
            try:
                return read(alias.name if alias.asname else name)
            except ModuleNotFoundError:
                return None
    raise _NotBoundError


def _assigned(value: ast.expr, module: Module, before: Sequence[ast.stmt], trail: Trail) -> Found:
    """Return what is assigned: that which a name stands for, `X = Y` or `X = module.Y`, else the expression itself."""
    if not isinstance(value, ast.Name | ast.Attribute):
        return Definition(value, module)
    first, *rest = ast.unparse(value).split(".")
    try:
        found = _bound(before, first, module, trail)
        for part in rest:
            found = _member(found, part, trail)
    except (_NotBoundError, ModuleNotFoundError, AttributeError):
        # A builtin, such as `Number = float`, or an attribute that is made at run time.
        return Definition(value, module)
    return found


def _if_there(target: str, trail: Trail) -> Found:
    try:
        return _find(target, trail)
    except (ModuleNotFoundError, AttributeError):
        return None  # made at run time, or of an optional package; the constructor itself will say what it takes
