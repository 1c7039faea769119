"""What a constructor hands on to that of its base, `super().__init__(width, **kwargs)`: seen in source."""

import ast
from dataclasses import dataclass


@dataclass(frozen=True)
class HandedOn:
    """How many arguments a base's constructor is given by their place, and which by name, beside all of `**kwargs`."""

    num_positional: int
    names: frozenset[str]


def handed_to_base(constructor: ast.FunctionDef) -> HandedOn | None:
    """Return what a constructor with `**kwargs` gives its base beside them; None where it does more with them."""
    kwargs = constructor.args.kwarg
    if kwargs is None:
        return None
    uses = [node for node in ast.walk(constructor) if isinstance(node, ast.Name) and node.id == kwargs.arg]
    calls = [
        node for node in ast.walk(constructor) if isinstance(node, ast.Call) and _is_of_base(node, constructor.name)
    ]
    if len(uses) != 1 or len(calls) != 1:
        return None
    call = calls[0]
    if not any(word.arg is None and word.value is uses[0] for word in call.keywords):
        return None
    starred = [each for each in call.args if isinstance(each, ast.Starred)]
    more = constructor.args.vararg
    for each in starred:
        if more is None or each is not call.args[-1] or ast.unparse(each.value) != more.arg:
            return None
    names = frozenset(word.arg for word in call.keywords if word.arg is not None)
    return HandedOn(len(call.args) - len(starred), names)


def _is_of_base(call: ast.Call, name: str) -> bool:
    """Return whether a call is `super().NAME(...)`."""
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr != name or not isinstance(function.value, ast.Call):
        return False
    return isinstance(function.value.func, ast.Name) and function.value.func.id == "super"
