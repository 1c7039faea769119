"""Arguments of parts: whether they are of the kinds in a signature, and checks that many constructors share.

A wrong kind is told before a constructor trips over it, or takes 'false' for true.
"""

import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial
from numbers import Integral, Real
from typing import Any, Union

from geocompose.errors import UserError

NUMBERS = (int, float, bool)
WORDS = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text", list: "a list", dict: "a mapping",
    type(None): "null",
}  # fmt: skip
PLURALS = {int: "whole numbers", float: "numbers", bool: "true or false"}


def check_kinds(constructor: Callable[..., Any], arguments: Mapping[str, Any], *, part: str, prefix: str) -> None:
    """Refuse an argument of another kind than the constructor's annotation says.

    Lists and mappings of a configuration and numbers of numpy are of the plain kinds. What values are allowed is the
    constructor's own business, and so are annotations other than int, float, bool, str, list, dict and null.

    part, prefix: how messages name the constructor, and what stands before an argument's name there.

    Raises:
        UserError: names the argument, what it may be and what it is.
    """
    annotated = constructor.__init__ if isinstance(constructor, type) else constructor  # type: ignore[misc]
    hints = typing.get_type_hints(annotated)
    for name, value in arguments.items():
        kinds = _alternatives(hints.get(name, Any))
        if kinds and not any(_is(value, kind) for kind in kinds):
            allowed = " or ".join(dict.fromkeys(_word(kind) for kind in kinds))
            raise UserError(f"{part}: {prefix}{name} must be {allowed}; got {value!r}.")


def _alternatives(annotation: Any) -> list[Any]:
    """Return the plain kinds of an annotation; none where one of them is not plain, so that nothing can be said."""
    union = typing.get_origin(annotation) in (Union, types.UnionType)
    kinds = list(typing.get_args(annotation)) if union else [annotation]
    return kinds if all((typing.get_origin(kind) or kind) in WORDS for kind in kinds) else []


def _is(value: Any, kind: Any) -> bool:
    plain = typing.get_origin(kind) or kind
    if plain is bool:
        numpy = sys.modules.get("numpy")  # not imported for this: it takes longer than answering a typo
        return isinstance(value, bool) or (numpy is not None and isinstance(value, numpy.bool_))
    if plain in (int, float):
        return isinstance(value, Integral if plain is int else Real) and not isinstance(value, bool)
    if plain is dict:
        return isinstance(value, Mapping)
    if plain is not list:
        return isinstance(value, plain)
    item = (*typing.get_args(kind), Any)[0]
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return listed and (item not in NUMBERS or all(_is(each, item) for each in value))


def _word(kind: Any) -> str:
    item = (*typing.get_args(kind), None)[0]
    return f"a list of {PLURALS[item]}" if item in PLURALS else WORDS[typing.get_origin(kind) or kind]


def whole_number(name: str, value: object, least: int | None = None) -> int:
    """Return `value` as an int.

    Raises:
        UserError: it is not a whole number, or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or (least is not None and value < least):
        bound = f", {least} or more" if least is not None else ""
        raise UserError(f"{name} must be a whole number{bound}; got {value!r}.")
    return int(value)


def whole_numbers(name: str, values: object, least: int | None = None, *, example: str = "[32, 16]") -> list[int]:
    """Return a copy of a list (a tuple, a configuration's list) as a list of ints.

    Raises:
        UserError: it is not a list, or an item is not a whole number or below `least`.
    """
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise UserError(f"{name} must be a list, such as {example}; got {values!r}.")
    return [whole_number(f"Each of {name}", value, least) for value in values]


def dropout_rate(name: str, value: object) -> float:
    """Return `value` as a float.

    Raises:
        UserError: it is not a number from 0 to below 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UserError(f"{name} must be from 0 to below 1; got {value!r}.")
    return float(value)


def plain(value: Any) -> Any:
    """Return a value of a configuration as Python's own dicts and lists, and everything else as it is."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Set) or (isinstance(value, Sequence) and not isinstance(value, str | bytes)):
        return [plain(item) for item in value]
    return value


def as_written(value: Any) -> str:
    """Return a plain value as an override on the command line has it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {as_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_written, value)) + "]"
    if callable(value):
        return as_written(_target(value))
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if isinstance(value, bool | None)
        else str(value)
    )


def _target(value: Callable[..., Any]) -> dict[str, Any]:
    """Return what builds a user's own neck: its constructor with the arguments that were given."""
    given = value.keywords if isinstance(value, partial) else {}
    constructor: Any = value.func if isinstance(value, partial) else value
    if not isinstance(constructor, type):
        constructor = constructor if inspect.isfunction(constructor) else type(constructor)
    return {"_target_": f"{constructor.__module__}.{constructor.__qualname__}", "_partial_": True, **given}
