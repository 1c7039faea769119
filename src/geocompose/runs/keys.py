"""Keys of a configuration, dotted, and patterns of them: `*` is one part of a key, `**` any number of parts."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any


def walk(value: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield a value, which stands under `key`, and all that is within it, each with its key."""
    yield key, value
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from walk(item, (*key, str(name)))
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from walk(item, (*key, str(place)))


def is_any(patterns: Iterable[str], key: tuple[str, ...]) -> bool:
    """Return whether one of the dotted patterns is that of a key."""
    return bool(matching(tuple(patterns), key))


@lru_cache(maxsize=100_000)  # thousands of configurations have the same keys
def matching(patterns: tuple[str, ...], key: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the dotted patterns that are a key's, in their order."""
    return tuple(pattern for pattern in patterns if _matches(pattern.split("."), key))


def _matches(pattern: list[str], key: tuple[str, ...]) -> bool:
    if not pattern:
        return not key
    if pattern[0] == "**":
        return any(_matches(pattern[1:], key[skipped:]) for skipped in range(len(key) + 1))
    return bool(key) and fnmatchcase(key[0], pattern[0]) and _matches(pattern[1:], key[1:])


def same(value: object, neutral: object) -> bool:
    """Return whether a typed value is that of a rule."""
    # Rules are untyped YAML: there 0 may stand for a float's 0.0, but never for false.
    return value == neutral and isinstance(value, bool) == isinstance(neutral, bool)
