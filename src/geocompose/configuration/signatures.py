"""The arguments of a config's `_target_`, read from its source: a schema that costs no import of torch.

A constructor's signature is the one place that says which arguments there are and of which type; the configuration is
checked against it before anything heavy is loaded.
"""

import ast
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal


class UnknownType:
    """Stands for a type whose name means nothing here, such as torch's Tensor; no configured value is one."""


class _Names(dict[str, Any]):
    def __missing__(self, name: str) -> type[UnknownType]:
        return UnknownType


_TYPES = {
    "int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict, "tuple": tuple, "object": object,
    "None": None, "Literal": Literal, "Any": Any,
}  # fmt: skip


@dataclass(frozen=True)
class Argument:
    """One argument: its type (Any where the source has none that can be read) and whether it must be given."""

    name: str
    type: Any
    text: str
    required: bool


@lru_cache(maxsize=256)
def arguments(target: str) -> Mapping[str, Argument] | None:
    """Return the arguments of a dotted class or function by name, or None where its source can't be read.

    Raises:
        ModuleNotFoundError, AttributeError: there is no such module, or nothing of that name in it.
    """
    module, _, name = target.rpartition(".")
    tree = _tree(module)
    if tree is None:
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return _of_function(node, skip_first=False)
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _of_class(node, tree)
    if name in _bound(tree) or "*" in _bound(tree):
        return None
    raise AttributeError(f"module {module!r} has nothing named {name!r}")


def names_in(module: str) -> list[str]:
    """Return the classes and functions that a module's source defines, for a suggestion."""
    tree = _tree(module)
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)] if tree else []


@lru_cache(maxsize=64)
def _tree(module: str) -> ast.Module | None:
    # Walking the packages' folders finds a module's file without running any package's __init__.
    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {top!r}")
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
    return ast.parse(file.read_text(encoding="utf-8"))


def _bound(tree: ast.Module) -> set[str]:
    """Return the names that a module imports or assigns; `*` among them where it imports all of another module's."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def _of_function(node: ast.FunctionDef, *, skip_first: bool) -> dict[str, Argument] | None:
    spec = node.args
    if spec.kwarg is not None:
        return None
    positional = [*spec.posonlyargs, *spec.args]
    optional = {arg.arg for arg in positional[len(positional) - len(spec.defaults) :]}
    optional |= {arg.arg for arg, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if default is not None}
    listed = [*positional[1 if skip_first else 0 :], *spec.kwonlyargs]
    return {arg.arg: _argument(arg.arg, arg.annotation, arg.arg not in optional) for arg in listed}


def _of_class(node: ast.ClassDef, tree: ast.Module) -> Mapping[str, Argument] | None:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return _of_function(item, skip_first=True)
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
        return {item.target.id: _argument(item.target.id, item.annotation, item.value is None) for item in fields}  # type: ignore[union-attr]
    # Without a constructor of its own it has that of its first base, here or where that is imported from.
    base = node.bases[0].id if node.bases and isinstance(node.bases[0], ast.Name) else None
    for other in tree.body:
        if isinstance(other, ast.ClassDef) and other.name == base:
            return _of_class(other, tree)
        if isinstance(other, ast.ImportFrom) and other.module and not other.level:
            for alias in other.names:
                if base == (alias.asname or alias.name):
                    return _if_there(f"{other.module}.{alias.name}")
    return None if node.bases else {}


def _if_there(target: str) -> Mapping[str, Argument] | None:
    try:
        return arguments(target)
    except (ModuleNotFoundError, AttributeError):
        return None  # made at run time, or optional; the constructor itself will say what it takes


def _argument(name: str, annotation: ast.expr | None, required: bool) -> Argument:
    text = ast.unparse(annotation).strip("'\"") if annotation else "anything"
    try:
        kind = eval(text, {"__builtins__": {}}, _Names(_TYPES)) if annotation else Any
    except (TypeError, SyntaxError, AttributeError):
        kind = Any
    return Argument(name, kind, text, required)


def class_constant(target: str, name: str) -> object:
    """Return the literal that a dotted class declares in its body as `name`, or its first base; None where none is read.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    module, _, class_name = target.rpartition(".")
    tree = _tree(module)
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if class_name == (alias.asname or alias.name):
                    return class_constant(f"{node.module}.{alias.name}", name)
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            declared = [item for item in node.body if name in _names_bound(item)]
            if declared:
                value = getattr(declared[-1], "value", None)
                return value.value if isinstance(value, ast.Constant) else None
            base = node.bases[0] if node.bases else None
            return class_constant(f"{module}.{base.id}", name) if isinstance(base, ast.Name) else None
    return None


def _names_bound(item: ast.stmt) -> set[str]:
    """Return the names that a statement of a class's body gives a meaning."""
    if isinstance(item, ast.FunctionDef):
        return {item.name}
    targets = item.targets if isinstance(item, ast.Assign) else [item.target] if isinstance(item, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}
