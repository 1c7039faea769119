"""A library's parts as a source of a registry: listed by name, without importing what they are taken from."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

Builder = Callable[..., Any]


def _no_other(name: str) -> bool:
    return False


def _any_name(name: str) -> None:
    """Refuse no name."""


class NamedParts(Mapping[str, Builder]):
    """The parts of a library by their names there: each is one builder of ours, which gets the name."""

    def __init__(
        self,
        build: Builder,
        names: Callable[[], Collection[str]],
        *,
        argument: str | None = None,
        has: Callable[[str], bool] | None = None,
        check: Callable[[str], None] = _any_name,
        has_further: Callable[[str], bool] = _no_other,
    ) -> None:
        """Say which parts there are.

        build: takes a name and the part's arguments. names: returns the names that are listed.
        argument: which argument of `build` the name is; null: its first.
        has: whether `build` answers to a name, listed or not, such as one that it refuses with a reason; null: to those
            that are listed. check: refuses such a name when it is looked up, where `build` should not be reached.
        has_further: whether the library itself has a name that isn't known here. Asking it may import it, so it is only
            asked where a name has the source's prefix.
        """
        self._build = build
        self._names = names
        self._argument = argument
        self._has = has
        self._check = check
        self._has_further = has_further

    def __getitem__(self, name: str) -> Builder:
        if name not in self:
            raise KeyError(name)
        self._check(name)
        return self._builder(name)

    def further(self, name: str) -> Builder | None:
        """Return the builder of a name that only the library itself knows, or None where it doesn't either."""
        return self._builder(name) if self._has_further(name) else None

    def _builder(self, name: str) -> Builder:
        return partial(self._build, name) if self._argument is None else partial(self._build, **{self._argument: name})

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._names() if self._has is None else self._has(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())
