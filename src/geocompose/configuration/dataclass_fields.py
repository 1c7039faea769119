"""The arguments of the constructor that a dataclass is given, from its own fields and those of its bases."""

import ast
from collections.abc import Iterator, Mapping, Sequence

from geocompose.configuration.annotations import Argument, argument
from geocompose.configuration.class_order import SourceClass
from geocompose.configuration.module_source import Module, last_name


def has_generated_init(node: ast.ClassDef) -> bool:
    """Return whether a class is a dataclass that is given a constructor: one without `init=False`."""
    decorator = _dataclass_decorator(node)
    return decorator is not None and not _is_off(decorator, "init")


def field_arguments(order: Sequence[SourceClass | None]) -> Mapping[str, Argument] | None:
    """Return the arguments of a dataclass, given with its bases in their order; None where a base can't be read.

    As in the standard library: the last base comes first, a field that is declared again keeps its place, and what is
    annotated in a class that is not a dataclass is not a field.
    """
    found: dict[str, Argument | None] = {}
    for one in reversed(order):
        if one is None:
            return None
        if _dataclass_decorator(one.node) is not None:
            found |= dict(_fields(one.node, one.module))
    return {name: field for name, field in found.items() if field is not None}


def _fields(node: ast.ClassDef, module: Module) -> Iterator[tuple[str, Argument | None]]:
    """Yield a class's own fields; None for one that its constructor doesn't take."""
    for item in node.body:
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        annotation = _written(item.annotation)
        kind = last_name(annotation)
        if kind in ("ClassVar", "KW_ONLY"):
            continue
        if kind == "InitVar" and isinstance(annotation, ast.Subscript):
            annotation = annotation.slice
        name, value = item.target.id, item.value
        field = value if isinstance(value, ast.Call) and last_name(value) == "field" else None
        if field is not None and _is_off(field, "init"):
            yield name, None
            continue
        given = value is not None if field is None else _has_default(field)
        yield name, argument(name, annotation, module, required=not given)


def _written(annotation: ast.expr) -> ast.expr:
    """Return an annotation without the quotes that it may be in."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return ast.parse(annotation.value, mode="eval").body
    return annotation


def _dataclass_decorator(node: ast.ClassDef) -> ast.expr | None:
    return next((decorator for decorator in node.decorator_list if last_name(decorator) == "dataclass"), None)


def _has_default(field: ast.Call) -> bool:
    return any(word.arg in ("default", "default_factory") for word in field.keywords)


def _is_off(call: ast.expr, option: str) -> bool:
    words = call.keywords if isinstance(call, ast.Call) else []
    return any(word.arg == option and isinstance(word.value, ast.Constant) and not word.value.value for word in words)
