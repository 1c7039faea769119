"""The arguments of a config's `_target_`, read from its source: a schema that costs no import of torch.

A constructor's signature is the one place that says which arguments there are and of which type; the configuration is
checked against it before anything heavy is loaded.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from geocompose.configuration.annotations import Argument, argument
from geocompose.configuration.class_order import SourceClass, has_plain_metaclass, method_order
from geocompose.configuration.dataclass_fields import field_arguments, has_generated_init
from geocompose.configuration.handed_to_base import handed_to_base
from geocompose.configuration.handing_on import hands_on, meant
from geocompose.configuration.module_source import (
    Compound,
    Module,
    blocks,
    comes_from,
    imported_from,
    last_name,
    names,
    read,
)
from geocompose.configuration.sources import Alternatives, Definition, Found, attribute, find

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
    return _of(find(target), target)


def _of(found: Found, target: str = "") -> Mapping[str, Argument] | None:
    """Return the arguments of what a name is bound to. target: the name, where it is dotted."""
    if isinstance(found, Alternatives):
        return _common([_of(one) for one in found.definitions])
    if not isinstance(found, Definition):
        return None
    node, module = found.node, found.module
    if isinstance(node, ast.ClassDef):
        return _of_class(node, module)
    if isinstance(node, ast.FunctionDef):
        return _of_method(node, module) if _is_method(target) else _of_function(node, module, skip_first=False)
    if isinstance(node, ast.Lambda):
        return _of_parameters(node.args, module, skip_first=False)
    return _of_call(node, module) if isinstance(node, ast.Call) else None


def _common(alternatives: Sequence[Mapping[str, Argument] | None]) -> Mapping[str, Argument] | None:
    """Return the arguments of one of several constructors: each that any has, required where all require it.

    An argument that they have of different types takes anything: which one it is shows when it is built.
    """
    found: dict[str, Argument] = {}
    for one in alternatives:
        if one is None:
            return None
        for name, given in one.items():
            known = found.get(name, given)
            required = all(other is not None and name in other and other[name].required for other in alternatives)
            same = known.type == given.type
            found[name] = Argument(name, given.type if same else Any, given.text if same else "anything", required)
    return found


def _of_call(node: ast.Call, module: Module) -> Mapping[str, Argument] | None:
    """Return the arguments of `partial(Net, width=8)`, and of what a call hands on as it is, as `register(Net)`."""
    if not node.args or any(isinstance(each, ast.Starred) for each in node.args):
        return None
    if not comes_from(node.func, module, "functools", "partial"):
        alone = len(node.args) == 1 and not node.keywords
        return _of(meant(node.args[0], module)) if alone and _keeps_arguments([node.func], module) else None
    inner = _of(meant(node.args[0], module))
    if inner is None or any(word.arg is None for word in node.keywords):
        return None
    given = {word.arg for word in node.keywords}
    left = list(inner.values())[len(node.args) - 1 :]
    return {each.name: replace(each, required=each.required and each.name not in given) for each in left}


def _is_method(target: str) -> bool:
    """Return whether a dotted function stands in a class."""
    try:
        holder = find(target.rpartition(".")[0]) if "." in target else None
    except (ModuleNotFoundError, AttributeError):
        return False
    return isinstance(holder, Definition) and isinstance(holder.node, ast.ClassDef)


def _of_method(node: ast.FunctionDef, module: Module) -> Mapping[str, Argument] | None:
    """Return the arguments of a function of a class that is called without an instance; None of any other."""
    said = [last_name(decorator) for decorator in node.decorator_list]
    if said not in (["classmethod"], ["staticmethod"]):
        return None
    return _of_parameters(node.args, module, skip_first=said == ["classmethod"])


def names_in(module: str) -> list[str]:
    """Return the classes and functions that a module defines or re-exports of its own package, for a suggestion."""
    source = read(module)
    return list(dict.fromkeys(_offered(source.tree.body, source))) if source else []


def _offered(statements: Sequence[ast.stmt], module: Module) -> Iterator[str]:
    for node in statements:
        if isinstance(node, Compound):
            for block in blocks(node):
                yield from _offered(block, module)
        elif _is_offer(node, module):
            yield from names([node])


def _is_offer(node: ast.stmt, module: Module) -> bool:
    if isinstance(node, ast.ImportFrom):
        return imported_from(node, module).partition(".")[0] == module.name.partition(".")[0]
    return isinstance(node, ast.ClassDef | ast.FunctionDef)


def _of_function(node: ast.FunctionDef, module: Module, *, skip_first: bool) -> dict[str, Argument] | None:
    return _of_parameters(node.args, module, skip_first) if _keeps_arguments(node.decorator_list, module) else None


def _of_parameters(
    spec: ast.arguments, module: Module, skip_first: bool, *, open_ended: bool = False
) -> dict[str, Argument] | None:
    """Return the arguments that a function's parameters take, None where it takes any.

    open_ended: what it takes beside those with a name is known otherwise.
    """
    if spec.kwarg is not None and not open_ended:
        return None
    positional = [*spec.posonlyargs, *spec.args]
    optional = {arg.arg for arg in positional[len(positional) - len(spec.defaults) :]}
    optional |= {arg.arg for arg, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if default is not None}
    listed = [*positional[1 if skip_first else 0 :], *spec.kwonlyargs]
    return {arg.arg: argument(arg.arg, arg.annotation, module, required=arg.arg not in optional) for arg in listed}


def _of_class(node: ast.ClassDef, module: Module) -> Mapping[str, Argument] | None:
    """Return the arguments of the first constructor in the order of a class and its bases; {} where none has one."""
    if not _keeps_arguments(node.decorator_list, module) or not has_plain_metaclass(node):
        return None
    own = _constructor(SourceClass(node, module))
    if own is not None and own.args.kwarg is None:  # most have their own: their bases, often torch's, need not be read
        return _of_function(own, module, skip_first=True)
    return _of_order(method_order(node, module))


def _of_order(order: Sequence[SourceClass | None]) -> Mapping[str, Argument] | None:
    """Return the arguments of a class, given with its bases in the order in which Python looks for a constructor."""
    for place, one in enumerate(order):
        if one is None:
            return None
        if _constructor_name(one.node) is not None:
            return _of_constructor(one, order[place + 1 :])
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
    if isinstance(found, Alternatives):
        said = [_constant(one, name) for one in found.definitions]
        return said[0] if all(one == said[0] for one in said) else None
    return _constant(found, name)


def _constant(found: Found, name: str) -> object:
    while isinstance(found, Definition) and isinstance(found.node, ast.Call) and found.node.args:
        module, call = found.module, found.node  # of a partial and of what hands a class on, that class's
        if not comes_from(call.func, module, "functools", "partial") and not _keeps_arguments([call.func], module):
            return None
        found = meant(call.args[0], module)
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


def _constructor(one: SourceClass) -> ast.FunctionDef | None:
    """Return a class's own constructor, None where it has none that source tells."""
    name = _constructor_name(one.node)
    found = None if name is None else attribute(Definition(one.node, one.module), name)
    return found.node if isinstance(found, Definition) and isinstance(found.node, ast.FunctionDef) else None


def _of_constructor(one: SourceClass, bases: Sequence[SourceClass | None]) -> Mapping[str, Argument] | None:
    node = _constructor(one)
    if node is None or node.args.kwarg is None:
        return None if node is None else _of_function(node, one.module, skip_first=True)
    handed = handed_to_base(node)
    if handed is None or not _keeps_arguments(node.decorator_list, one.module):
        return None
    inherited = _of_order(bases)
    if inherited is None:
        return None
    own = _of_parameters(node.args, one.module, skip_first=True, open_ended=True)
    assert own is not None
    left = list(inherited.items())[handed.num_positional :]
    more = {name: each for name, each in left if name not in handed.names and name not in own}
    by_name = {each.arg for each in node.args.kwonlyargs}  # whatever has a place comes before them
    placed = {name: each for name, each in own.items() if name not in by_name}
    return {**placed, **more, **{name: own[name] for name in own if name in by_name}}


def _keeps_arguments(decorators: Sequence[ast.expr], module: Module) -> bool:
    return all(
        (name := last_name(decorator)) in _TRANSPARENT or name.startswith("register") or hands_on(decorator, module)
        for decorator in decorators
    )
