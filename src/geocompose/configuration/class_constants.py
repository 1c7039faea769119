"""What a class declares in its body, read from its source before anything of it is imported."""

import ast

from geocompose.configuration.class_order import SourceClass, method_order
from geocompose.configuration.sources import Definition, attribute, find


def class_constant(target: str, name: str) -> object:
    """Return the literal that a dotted class, or the first of its bases, declares as `name`; None where none is read.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    try:
        found = find(target)
    except AttributeError:
        return None
    if not isinstance(found, Definition) or not isinstance(found.node, ast.ClassDef):
        return None
    itself = SourceClass(found.node, found.module)
    try:  # most declare it themselves: their bases, often Lightning's, need not be read
        return _literal(itself, name)
    except AttributeError:
        pass
    for one in method_order(found.node, found.module)[1:]:
        if one is None:
            return None
        try:
            return _literal(one, name)
        except AttributeError:
            continue
    return None


def _literal(one: SourceClass, name: str) -> object:
    found = attribute(Definition(one.node, one.module), name)
    value = found.node if isinstance(found, Definition) else None
    return value.value if isinstance(value, ast.Constant) else None
