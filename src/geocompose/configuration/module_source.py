"""A module's source, and what can be said of it without following its imports."""

import ast
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

# Statements at module level in whose blocks names are bound.
Compound = ast.If | ast.Try | ast.With | ast.For | ast.While | ast.Match


@dataclass(frozen=True)
class Module:
    """A module's source.

    package: what its relative imports start from, its own name for an `__init__.py`. num_stars: of `import *` in it.
    """

    name: str
    package: str
    tree: ast.Module
    num_stars: int


@lru_cache(maxsize=256)
def read(name: str) -> Module | None:
    """Return a module's source, or None where it has none, such as a compiled one.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    # Walking the packages' folders finds a module's file without running any package's __init__.
    top, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module without a file, such as __main__ of an interactive session
        return None
    if spec is None:
        raise ModuleNotFoundError(f"No module named {top!r} in the working folder, on PYTHONPATH, or installed")
    places = [Path(place) for place in spec.submodule_search_locations or []]
    file = Path(spec.origin) if spec.origin and spec.origin not in ("built-in", "frozen") else None
    for depth, part in enumerate(inner):
        found = next((place for place in places if (place / part).is_dir() or (place / f"{part}.py").is_file()), None)
        if found is None:
            raise ModuleNotFoundError(f"No module named {'.'.join([top, *inner[: depth + 1]])!r}")
        folder = found / part
        file = folder / "__init__.py" if folder.is_dir() else found / f"{part}.py"
        places = [folder]
    if file is None or not file.is_file() or file.suffix != ".py":
        return None
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return Module(name, package, tree, list(names(tree.body)).count("*"))


def names(statements: Sequence[ast.stmt]) -> Iterator[str]:
    """Yield the names that statements bind, in the blocks of statements too; `*` for all names of a module."""
    for node in statements:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Import):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            # `Net.__doc__ = ...` and `nets[0] = ...` read the name that they begin with.
            parts = (part for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name))
            yield from (part.id for part in parts if isinstance(part.ctx, ast.Store))
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, Compound):
            for block in blocks(node):
                yield from names(block)


def blocks(node: Compound) -> list[list[ast.stmt]]:
    """Return the blocks of a compound statement, in the order in which they are written."""
    if isinstance(node, ast.With):
        return [node.body]
    if isinstance(node, ast.If | ast.For | ast.While):
        return [node.body, node.orelse]
    if isinstance(node, ast.Match):
        return [case.body for case in node.cases]
    return [[*node.body, *node.orelse], *(handler.body for handler in node.handlers), node.finalbody]


def comes_from(expression: ast.expr, module: Module, source: str, name: str) -> bool:
    """Return whether an expression is `name` of the module `source`, by a module's imports: `functools.partial`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module == source and isinstance(expression, ast.Name):
            if any(alias.name == name and (alias.asname or name) == expression.id for alias in node.names):
                return True
        elif isinstance(node, ast.Import) and isinstance(expression, ast.Attribute) and expression.attr == name:
            holder = ast.unparse(expression.value)
            if any(alias.name == source and (alias.asname or source) == holder for alias in node.names):
                return True
    return False


def imported_from(node: ast.ImportFrom, module: Module) -> str:
    """Return the full name of the module that a module's `from ... import` takes names from."""
    if not node.level:
        return node.module or ""
    start = module.package.split(".")
    start = start[: len(start) - (node.level - 1)]
    return ".".join([*start, *([node.module] if node.module else [])])


def public_names(module: Module) -> list[str] | None:
    """Return a module's `__all__` where it is a plain list of names; None where it has none or computes it."""
    values = [
        node.value
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and "__all__" in names([node])
    ]
    if len(values) != 1 or not isinstance(values[0], ast.List | ast.Tuple):
        return None
    return [item.value for item in values[0].elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def last_name(expression: ast.expr) -> str:
    """Return the last part of a name, whether called or indexed: `field` of `dataclasses.field(default=1)`."""
    while isinstance(expression, ast.Call | ast.Subscript):
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    return ast.unparse(expression).rpartition(".")[2]
