"""Words that YAML reads as something else than text: `no` in a list of names, an empty entry, a date."""

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from geocompose.errors import UserError


def check_words(path: str, kind: Any, value: Any) -> None:
    """Refuse an entry of a list or mapping of texts that YAML read as true, false or null.

    kind: the type of the argument. Numbers are taken as their text elsewhere.

    Raises:
        UserError: names the entry, and how to write it.
    """
    for place, item, allowed in _entries(kind, value):
        if str in allowed and (
            (isinstance(item, bool) and bool not in allowed) or (item is None and None not in allowed)
        ):
            shown = "null" if item is None else str(item).lower()
            raise UserError(f"{path}{place} must be text; got {shown}.{word_hint(item)}")


def word_hint(value: object) -> str:
    """Return how a word is written that YAML read as `value`; empty where it reads none so."""
    if isinstance(value, bool):
        words = "yes, on and true" if value else "no, off and false"
        wanted = "yes" if value else "no"
        return f' Unquoted, YAML reads words such as {words} as {str(value).lower()}: write it in quotes ("{wanted}").'
    if value is None:
        return ' YAML reads null, ~ and an empty entry as nothing: write the word in quotes ("null"), or take it out.'
    return ""


def _entries(kind: Any, value: Any) -> Iterator[tuple[str, Any, set[Any]]]:
    """Yield the entries of lists and mappings: where each stands, its value, and the types that it may have."""
    if isinstance(value, list):
        inner = _arguments(kind, (list, tuple))
        for number, item in enumerate(value):
            yield f"[{number}]", item, {each for args in inner for each in _parts(args[0])}
    elif isinstance(value, Mapping):
        inner = [args for args in _arguments(kind, (dict, Mapping)) if len(args) == 2]
        for key, item in value.items():
            yield f" (the key {str(key).lower()})", key, {each for args in inner for each in _parts(args[0])}
            yield f".{key}", item, {each for args in inner for each in _parts(args[1])}


def _arguments(kind: Any, origins: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return what stands in brackets behind list, say, in each part of a type that is one."""
    return [typing.get_args(part) for part in _parts(kind) if typing.get_origin(part) in origins]


def _parts(kind: Any) -> list[Any]:
    """Return the types that a union joins, null as None; a type itself where it is none."""
    if typing.get_origin(kind) is None or not _is_union(kind):
        return [None if kind is type(None) else kind]
    return [part for each in typing.get_args(kind) for part in _parts(each)]


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (types.UnionType, typing.Union)
