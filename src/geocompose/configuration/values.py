"""A single value of a configuration, typed by its argument's annotation, and what is allowed, as a person says it."""

import types
import typing
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from geocompose.configuration.annotations import Argument, UnknownType
from geocompose.configuration.yaml_words import check_words, word_hint
from geocompose.errors import UserError, choices, nearest

# By the identity of the type, which is held so that no other one takes its place.
_ADAPTERS: dict[int, tuple[Any, TypeAdapter[Any]]] = {}


def checked_value(path: str, argument: Argument, value: Any) -> Any:
    """Return a value as its argument takes it: `1` of a float is 1.0, a tuple a list.

    path: the value's dotted key, for the message.

    Raises:
        UserError: the value is not of the argument's type; says what is allowed.
    """
    if argument.type is Any:
        return value
    if isinstance(value, bool) and not _takes_bool(argument.type):
        hint = word_hint(value) if _takes_text(argument.type) else ""
        raise UserError(f"{path} takes {_in_words(argument)}; got {str(value).lower()}.{hint}")
    check_words(path, argument.type, value)
    try:
        checked = _adapter(argument.type).validate_python(value)
    except ValidationError as error:
        allowed = _literals(argument.type)
        if allowed:
            raise UserError(f"{path} has no value {value!r}. {choices(value, allowed)}") from error
        words = [word for word in _literal_values(argument.type) if isinstance(word, str)]
        meant = nearest(value, words) if isinstance(value, str) else None
        hint = f" Did you mean {meant!r}?" if meant else ""
        if path.endswith(".bands") and isinstance(value, dict):
            hint = " Bands of several modalities go into one list, or to backbones side by side (backbone=fusion)."
        raise UserError(f"{path} takes {_in_words(argument)}; got {value!r}.{hint}") from error
    return list(checked) if isinstance(checked, tuple) else checked


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what checks values of a type; made once per type, since a sweep checks the same ones for each cell."""
    # Types that are equal need not be the same: Literal[1] == Literal[True].
    known = _ADAPTERS.get(id(kind))
    if known is None or known[0] is not kind:
        settings = ConfigDict(coerce_numbers_to_str=True, arbitrary_types_allowed=True)
        known = _ADAPTERS[id(kind)] = kind, TypeAdapter(kind, config=settings)
    return known[1]


def _takes_bool(kind: Any) -> bool:
    return kind in (bool, object) or any(part in (bool, object) for part in typing.get_args(kind))


def _takes_text(kind: Any) -> bool:
    return kind is str or any(_takes_text(part) for part in typing.get_args(kind))


def _in_words(argument: Argument) -> str:
    """Return the type as a person would say it, without what can't be configured."""
    kind = argument.type
    parts = typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,)
    nested = [part for part in parts if typing.get_origin(part) is list and _holds_lists(_item(part))]
    if nested:  # `[a, b]` would not say that texts are none of its entries
        texts = " or texts" if str in typing.get_args(_item(nested[0])) else ""
        entry = f"whole numbers{texts}, or lists of them for several of one class"
        return f"a list of {entry}, such as [10, [20, 30]], or null"
    parts = tuple(typing.get_origin(part) or part for part in parts)
    said = {
        list: "a list, such as [a, b]",
        tuple: "a list, such as [a, b]",
        dict: "a mapping, such as {a: b}",
        Literal: _one_of(_literal_values(kind)),
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        types.NoneType: "null",
    }
    words = [said.get(part, str(part)) for part in parts if part is not UnknownType]
    return (", or " if any("," in word for word in words) else " or ").join(words)


def _one_of(values: list[Any]) -> str:
    if len(values) == 1:
        return f"the word {values[0]}" if isinstance(values[0], str) else str(values[0])
    return "one of " + ", ".join(map(str, values))


def _item(kind: Any) -> Any:
    """Return the type of a list's entries."""
    return (*typing.get_args(kind), Any)[0]


def _holds_lists(item: Any) -> bool:
    return any(typing.get_origin(part) is list for part in typing.get_args(item))


def _literal_values(kind: Any) -> list[Any]:
    if typing.get_origin(kind) is Literal:
        return list(typing.get_args(kind))
    return [value for part in typing.get_args(kind) for value in _literal_values(part)]


def _literals(kind: Any) -> list[str]:
    """Return the allowed values of a type that is a choice among literals, null included; [] for any other type."""
    if typing.get_origin(kind) is Literal:
        return [str(value) for value in typing.get_args(kind)]
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        parts = [_literals(part) for part in typing.get_args(kind) if part is not type(None)]
        return [*(value for part in parts for value in part), "null"] if all(parts) else []
    return []
