"""A class and its bases, in the order in which Python looks for what they define."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from geocompose.configuration.module_source import Module, last_name
from geocompose.configuration.sources import Definition, look_up

# Bases and metaclasses that leave the constructor as it is.
_BARE_BASES = ("object", "Generic", "Protocol", "ABC")
_BARE_METACLASSES = ("type", "ABCMeta")


@dataclass(frozen=True)
class SourceClass:
    """A class that source tells, and the module that it stands in."""

    node: ast.ClassDef
    module: Module


def method_order(node: ast.ClassDef, module: Module) -> list[SourceClass | None]:
    """Return a class and all its bases, as `__mro__` has them; None in place of what can't be read.

    Whatever comes after a None is uncertain.
    """
    return _order(SourceClass(node, module), frozenset())


def _order(one: SourceClass, trail: frozenset[SourceClass]) -> list[SourceClass | None]:
    if one in trail or not has_plain_metaclass(one.node):
        return [None]
    bases = [_base(base, one.module) for base in one.node.bases if last_name(base) not in _BARE_BASES]
    orders = [[None] if base is None else _order(base, trail | {one}) for base in bases]
    return [one, *_merged([*orders, bases])]


def _base(expression: ast.expr, module: Module) -> SourceClass | None:
    written = expression.value if isinstance(expression, ast.Subscript) else expression  # Base[int] is Base
    found = look_up(ast.unparse(written), module)
    if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef):
        return SourceClass(found.node, found.module)
    return None


def _merged(orders: Sequence[Sequence[SourceClass | None]]) -> list[SourceClass | None]:
    """Return the C3 merge: each class before its bases, and bases in the order in which they are written.

    Source: https://www.python.org/download/releases/2.3/mro/
    """
    left = [list(order) for order in orders if order]
    merged: list[SourceClass | None] = []
    while left:
        head = next((order[0] for order in left if not any(order[0] in other[1:] for other in left)), None)
        merged.append(head)
        if head is None:
            return merged
        left = [[one for one in order if one != head] for order in left]
        left = [order for order in left if order]
    return merged


def has_plain_metaclass(node: ast.ClassDef) -> bool:
    """Return whether a class is made without a metaclass of its own, which might change the constructor."""
    return all(word.arg == "metaclass" and last_name(word.value) in _BARE_METACLASSES for word in node.keywords)
