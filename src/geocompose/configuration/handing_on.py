"""Functions that hand on the class or function they are given, so that it takes what it took before: seen in source.

Such are decorators that put a part into a table and return it, or wrap a function with `functools.wraps`.
"""

import ast
from collections.abc import Iterator

from geocompose.configuration.module_source import Module, last_name
from geocompose.configuration.sources import Definition, Found, look_up

_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
# What decides which arguments a class takes.
_CONSTRUCTORS = ("__init__", "__new__", "__call__", "__signature__")


def hands_on(decorator: ast.expr, module: Module) -> bool:
    """Return whether what a decorator is given stays as it is, by the source of the decorator, called or not."""
    if isinstance(decorator, ast.Call):
        made_by = _function(decorator.func, module)
        return made_by is not None and _returns_one_that_hands_on(made_by)
    function = _function(decorator, module)
    return function is not None and _hands_on(function)


def _function(expression: ast.expr, module: Module) -> ast.FunctionDef | None:
    found = meant(expression, module) if isinstance(expression, ast.Name | ast.Attribute) else None
    return found.node if isinstance(found, Definition) and isinstance(found.node, ast.FunctionDef) else None


def meant(expression: ast.expr, module: Module) -> Found:
    """Return what an expression of a module stands for: what a name is bound to, else the expression itself."""
    if isinstance(expression, ast.Name | ast.Attribute):
        return look_up(ast.unparse(expression), module)
    return Definition(expression, module)


def _hands_on(function: ast.FunctionDef | ast.Lambda) -> bool:
    given = [*function.args.posonlyargs, *function.args.args]
    if not given:
        return False
    name = given[0].arg
    if isinstance(function, ast.Lambda):
        return isinstance(function.body, ast.Name) and function.body.id == name
    if function.decorator_list or _changes(function, name):
        return False
    kept = {name, *(inner.name for inner in _functions(function) if _wraps(inner, name))}
    return _all_return(function, kept)


def _returns_one_that_hands_on(function: ast.FunctionDef) -> bool:
    if function.decorator_list:
        return False
    returned = list(_returned(function))
    if returned and all(isinstance(value, ast.Lambda) and _hands_on(value) for value in returned):
        return True
    return _all_return(function, {inner.name for inner in _functions(function) if _hands_on(inner)})


def _all_return(function: ast.FunctionDef, names: set[str]) -> bool:
    returned = list(_returned(function))
    return bool(returned) and all(isinstance(value, ast.Name) and value.id in names for value in returned)


def _returned(function: ast.FunctionDef) -> Iterator[ast.expr | None]:
    return (node.value for node in _own(function) if isinstance(node, ast.Return))


def _functions(function: ast.FunctionDef) -> Iterator[ast.FunctionDef]:
    return (node for node in _own(function) if isinstance(node, ast.FunctionDef))


def _own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body, those within further functions and classes left out."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _NESTED):
            waiting.extend(ast.iter_child_nodes(node))


def _changes(function: ast.FunctionDef, name: str) -> bool:
    """Return whether a function's body binds a name anew, or sets what decides which arguments it takes."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
            return True
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in _CONSTRUCTORS:
            return True
        if isinstance(node, ast.Constant) and node.value in _CONSTRUCTORS:  # setattr(part, "__init__", ...)
            return True
    return False


def _wraps(inner: ast.FunctionDef, name: str) -> bool:
    """Return whether a function within a decorator says that it takes what the decorated one takes."""
    said = [each for each in inner.decorator_list if isinstance(each, ast.Call) and last_name(each) == "wraps"]
    return len(inner.decorator_list) == 1 and any(
        call.args and isinstance(call.args[0], ast.Name) and call.args[0].id == name for call in said
    )
