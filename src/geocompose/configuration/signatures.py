"""The arguments of a config's `_target_`, read from its source: a schema that costs no import of torch.

A constructor's signature is the one place that says which arguments there are and of which type; the configuration is
checked against it before anything heavy is loaded.
"""

import ast
from collections.abc import Mapping, Sequence
from functools import lru_cache

from geocompose.configuration.annotations import Argument, argument
from geocompose.configuration.class_order import SourceClass, has_plain_metaclass, method_order
from geocompose.configuration.dataclass_fields import field_arguments, has_generated_init
from geocompose.configuration.module_source import Module, imported_from, last_name, names, read
from geocompose.configuration.sources import Definition, attribute, find

# Decorators after which a class or function takes what it took before, as those that register it do; of others source
# doesn't tell.
_TRANSPARENT = (
    "dataclass", "final", "total_ordering", "runtime_checkable", "deprecated", "override", "abstractmethod",
    "cache", "lru_cache", "contextmanager", "no_grad", "inference_mode", "computes_runs",
)  # fmt: skip


@lru_cache(maxsize=256)
def arguments(target: str) -> Mapping[str, Argument] | None:
    """Return the arguments of a dotted class or function by name, or None where its source doesn't tell them.

    A class that a package re-exports, under whatever name, has the arguments of the place where it is written.

    Raises:
        ModuleNotFoundError, AttributeError: there is no such module, or nothing of that name in it.
    """
    found = find(target)
    if isinstance(found, Definition) and isinstance(found.node, ast.FunctionDef):
        return _of_function(found.node, found.module, skip_first=False)
    if isinstance(found, Definition) and isinstance(found.node, ast.ClassDef):
        return _of_class(found.node, found.module)
    return None


def names_in(module: str) -> list[str]:
    """Return the classes and functions that a module defines or re-exports of its own package, for a suggestion."""
    source = read(module)
    return [name for node in source.tree.body if _is_offer(node, source) for name in names([node])] if source else []


def _is_offer(node: ast.stmt, module: Module) -> bool:
    if isinstance(node, ast.ImportFrom):
        return imported_from(node, module).partition(".")[0] == module.name.partition(".")[0]
    return isinstance(node, ast.ClassDef | ast.FunctionDef)


def _of_function(node: ast.FunctionDef, module: Module, *, skip_first: bool) -> dict[str, Argument] | None:
    spec = node.args
    if spec.kwarg is not None or not _keeps_arguments(node.decorator_list):
        return None
    positional = [*spec.posonlyargs, *spec.args]
    optional = {arg.arg for arg in positional[len(positional) - len(spec.defaults) :]}
    optional |= {arg.arg for arg, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if default is not None}
    listed = [*positional[1 if skip_first else 0 :], *spec.kwonlyargs]
    return {arg.arg: argument(arg.arg, arg.annotation, module, required=arg.arg not in optional) for arg in listed}


def _of_class(node: ast.ClassDef, module: Module) -> Mapping[str, Argument] | None:
    """Return the arguments of the first constructor in the order of a class and its bases; {} where none has one."""
    if not _keeps_arguments(node.decorator_list) or not has_plain_metaclass(node):
        return None
    if _constructor_name(node) is not None:  # most have their own: their bases, often torch's, need not be read
        return _of_constructor(SourceClass(node, module))
    order = method_order(node, module)
    for place, one in enumerate(order):
        if one is None:
            return None
        if _constructor_name(one.node) is not None:
            return _of_constructor(one)
        if has_generated_init(one.node):
            return field_arguments(order[place:])
    return {}


def _constructor_name(node: ast.ClassDef) -> str | None:
    defined = list(names(node.body))
    return next((name for name in ("__init__", "__new__") if name in defined), None)


def class_constant(target: str, name: str) -> object:
    """Return the literal that a dotted class declares in its body as `name`, or a base; None where source doesn't tell.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    try:
        found = find(target)
    except AttributeError:  # whoever imports the class says what there is instead
        return None
    if not isinstance(found, Definition) or not isinstance(found.node, ast.ClassDef):
        return None
    own = SourceClass(found.node, found.module)
    if name in names(own.node.body):  # most have their own: their bases, often Lightning's, need not be read
        return _literal(own.node, name)
    for one in method_order(own.node, own.module):
        if one is None:
            return None
        if name in names(one.node.body):
            return _literal(one.node, name)
    return None


def _literal(node: ast.ClassDef, name: str) -> object:
    """Return the literal that a class's body gives a name last; None where it is not a literal."""
    last = [item for item in node.body if name in names([item])][-1]
    value = last.value if isinstance(last, ast.Assign | ast.AnnAssign) else None
    return value.value if isinstance(value, ast.Constant) else None


def _of_constructor(one: SourceClass) -> Mapping[str, Argument] | None:
    name = _constructor_name(one.node)
    assert name is not None
    found = attribute(Definition(one.node, one.module), name)
    if isinstance(found, Definition) and isinstance(found.node, ast.FunctionDef):
        return _of_function(found.node, found.module, skip_first=True)
    return None


def _keeps_arguments(decorators: Sequence[ast.expr]) -> bool:
    said = [last_name(decorator) for decorator in decorators]
    return all(name in _TRANSPARENT or name.startswith("register") for name in said)
