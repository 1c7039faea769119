"""Arguments and their types, as far as annotations in source tell them."""

import ast
from dataclasses import dataclass
from typing import Any, ForwardRef, Literal, get_args, get_origin

from geocompose.configuration.module_source import Module
from geocompose.configuration.sources import Definition, look_up


class UnknownType:
    """Stands for a type whose name means nothing here, such as torch's Tensor; no configured value is one."""


@dataclass(frozen=True)
class Argument:
    """One argument: its type (Any where the source has none that can be read) and whether it must be given."""

    name: str
    type: Any
    text: str
    required: bool


_TYPES: dict[str, Any] = {
    "int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict, "tuple": tuple, "object": object,
    "None": None, "Literal": Literal, "Any": Any, "Path": str,
    # Not looked up: no value in a configuration is one, and to read torch's own __init__ takes a tenth of a second.
    "torch": UnknownType, "nn": UnknownType, "Tensor": UnknownType,
}  # fmt: skip


class _Names(dict[str, Any]):
    """What names mean in annotations of a module; those that it assigns or imports are looked up when they occur."""

    def __init__(self, module: Module, trail: frozenset[str] = frozenset()) -> None:
        super().__init__(_TYPES)
        self._module, self._trail = module, trail

    def __missing__(self, name: str) -> Any:
        found = look_up(name, self._module)
        if not isinstance(found, Definition) or not isinstance(found.node, ast.expr):
            return UnknownType
        text = ast.unparse(found.node)
        place = f"{found.module.name}: {text}"
        if place in self._trail:  # a type that is made of itself
            return Any
        return _evaluated(text, _Names(found.module, self._trail | {place}))


def argument(name: str, annotation: ast.expr | None, module: Module, *, required: bool) -> Argument:
    """Return an argument, its type read from an annotation in a module's source."""
    text = ast.unparse(annotation).strip("'\"") if annotation else "anything"
    kind = _evaluated(text, _Names(module)) if annotation else Any
    return Argument(name, kind, text, required)


def _evaluated(text: str, names: _Names) -> Any:
    """Return the type that an annotation's text means, or Any where that isn't plain."""
    try:
        kind = eval(text, {"__builtins__": {}}, names)
    except (TypeError, SyntaxError, AttributeError):
        return Any
    return Any if _has_text(kind) else kind


def _has_text(kind: Any) -> bool:
    """Return whether a name in quotes, such as that of a class not yet defined, is within a type: `list["Net"]`."""
    if get_origin(kind) is Literal:
        return False
    return isinstance(kind, str | ForwardRef) or any(map(_has_text, get_args(kind)))
