"""Where parts are found by name: registries of our own parts, beside sources such as timm and smp, searched in order.

A registry imports the modules that fill it when it is first asked, so that importing this module costs nothing.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from geocompose.catalog.entry_points import packages
from geocompose.catalog.optional import PACKAGES, require
from geocompose.catalog.prefixes import OWN, OWN_PREFIXES, in_order, prefixes_of, without
from geocompose.catalog.suggestions import guess, instead
from geocompose.errors import UserError

Builder = Callable[..., Any]
B = TypeVar("B", bound=Builder)

_NOTHING: Any = None  # in place of the part: the decorator was called


class RegistrationError(UserError, TypeError):
    """A registry was given something that is not a part."""


def _no_part(kind: str, method: str, given: Sequence[str]) -> RegistrationError:
    """Return what to say of what a registry's method got: how parts of its kind are registered."""
    registry = f"{'FULL_MODEL' if kind == 'model' else kind.upper()}_REGISTRY"
    return RegistrationError(
        f"{method}({', '.join(given)}) is not how a {kind} is registered. Write @{registry}.register, without "
        f"parentheses, above a class or function, which is then found by its own name; or {registry}.register_as("
        "'name', builder) for another name."
    )


class Registry(Mapping[str, Builder]):
    """Parts by name. Decorate a class or function with `register` to add it under its own name."""

    def __init__(self, kind: str, package: str | None = None, *, of_packages: bool = False) -> None:
        """Name the `kind` of part (for messages) and the `package` whose modules register such parts, if any.

        of_packages: whether other packages' parts are looked for too (`geocompose.catalog.entry_points`), after our
            own.
        """
        self.kind = kind
        self._package = package
        self._of_packages = of_packages
        self._parts: dict[str, Builder] = {}

    def register(self, part: B = _NOTHING, *more: object, **named: object) -> B:
        """Add a class or function under its `__name__` and return it unchanged.

        Raises:
            RegistrationError: anything else is given, such as a name.
            ValueError: the name is taken.
        """
        if not callable(part) or not hasattr(part, "__name__") or more or named:
            given = ([] if part is _NOTHING else [repr(part)]) + [repr(each) for each in more]
            raise _no_part(self.kind, "register", [*given, *(f"{key}={each!r}" for key, each in named.items())])
        name = part.__name__
        if name in self._parts:
            raise ValueError(f"A {self.kind} named {name!r} is registered already ({self._parts[name].__module__}).")
        self._parts[name] = part
        return part

    def register_as(self, name: str, builder: Builder) -> None:
        """Add a builder under a name of its own, for variants that are rows of a table.

        Raises:
            RegistrationError: it is not a name and a builder.
            ValueError: the name is taken.
        """
        if not isinstance(name, str) or not name or not callable(builder):
            raise _no_part(self.kind, "register_as", [repr(name), repr(builder)])
        if name in self._parts:
            raise ValueError(f"A {self.kind} named {name!r} is registered already.")
        self._parts[name] = builder

    def _load(self) -> dict[str, Builder]:
        if self._package:
            name, self._package = self._package, None  # a module that is being loaded may ask for a part already
            try:
                for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
                    importlib.import_module(module.name)
            except BaseException:
                self._package = name  # else the parts of the modules that follow would be missing without a word
                raise
        return self._parts

    def __getitem__(self, name: str) -> Builder:
        """Return the builder of `name`; of another package's part by its name, or its package's prefix and its name.

        Raises:
            UserError: there is none; names the nearest.
        """
        parts = self._load()
        if name in parts:
            return parts[name]
        others = self._others()
        if name in others:
            package, own_name = others[name]
            return package[own_name]
        spellings = {each: each for each in self} | {
            each: full for full, each in self._full_names() if each not in parts
        }
        raise UserError(f"There is no {self.kind} {name!r}. {guess(name, spellings)}Allowed: {', '.join(self)}.")

    def _full_names(self) -> list[tuple[str, str]]:
        """Return other packages' parts, with their package's prefix and without."""
        return [(f"{prefix}_{name}", name) for prefix, package in self._packages() for name in package]

    def _others(self) -> dict[str, tuple[Mapping[str, Builder], str]]:
        """Return other packages' parts by every name that they answer to, those with a prefix first."""
        offered = [(prefix, package, name) for prefix, package in self._packages() for name in package]
        found = {f"{prefix}_{name}": (package, name) for prefix, package, name in offered}
        for _, package, name in offered:
            found.setdefault(name, (package, name))
        return found

    def _packages(self) -> list[tuple[str, Mapping[str, Builder]]]:
        return list(packages(self.kind).items()) if self._of_packages else []

    def __contains__(self, name: object) -> bool:
        return name in self._load() or name in self._others()

    def __iter__(self) -> Iterator[str]:
        return iter([*self._load(), *(full for full, _ in self._full_names())])

    def __len__(self) -> int:
        return len(self._load()) + len(self._full_names())

    def build(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Build the part `name`; an error of its constructor comes through as it is."""
        return self[name](*args, **kwargs)


class MultiSourceRegistry:
    """Several sources under one roof: `timm_resnet50` asks timm; a bare name asks ours, then the others in `ORDER`.

    Modules of `package` register our own parts, and sources of others, when the registry is first asked. A source lists
    its names without importing what it takes them from; one with a method `further(name)` may look there for another
    name, which is asked of it where a name has its prefix.
    """

    def __init__(self, kind: str, package: str, *, of_packages: bool = False) -> None:
        """Name the `kind` of part and the package that fills the registry.

        of_packages: whether other packages' parts are looked for too (`geocompose.catalog.entry_points`), after all
            sources.
        """
        self.kind = kind
        self._own = Registry(kind, package)
        self._others: dict[str, Mapping[str, Builder]] = {}
        self._of_packages = of_packages

    def register(self, part: B = _NOTHING, *more: object, **named: object) -> B:
        """Add a class or function to our own source; for use as a decorator. See `Registry.register`."""
        return self._own.register(part, *more, **named)

    def register_as(self, name: str, builder: Builder) -> None:
        """Add a builder to our own source under a name of its own."""
        self._own.register_as(name, builder)

    def register_source(self, prefix: str, source: Mapping[str, Builder]) -> None:
        """Add a source that answers to `prefix_NAME`, and to bare names after those that come before it in `ORDER`.

        Raises:
            ValueError: the prefix is taken, or has an underscore, so that no name would ever be found by it.
        """
        if "_" in prefix or not prefix:
            raise ValueError(
                f"A source's prefix ends at the first underscore of a name, so it has none; got {prefix!r}."
            )
        if prefix in (OWN, *self._others):
            raise ValueError(f"There is a source {prefix!r} of {self.kind}s already.")
        self._others[prefix] = source

    @property
    def sources(self) -> Mapping[str, Mapping[str, Builder]]:
        """The sources by prefix, in the order in which bare names are searched."""
        len(self._own)  # loads the package, whose modules register the others
        found = {OWN: self._own, **{prefix: self._others[prefix] for prefix in in_order(self._others)}}
        if self._of_packages:
            found |= {prefix: parts for prefix, parts in packages(self.kind).items() if prefix not in found}
        return found

    def find(self, name: str) -> Builder:
        """Return the builder of `name`, with or without a source's prefix.

        Raises:
            UserError: no source has it, or the one that has it is not installed; names the nearest, or the way to
                install it.
        """
        source, bare = self._locate(name)
        prefix = next(prefix for prefix, each in self.sources.items() if each is source)
        if prefix in PACKAGES:
            require(prefix)
        return _builder(source, bare)

    def includes_head(self, name: str) -> bool:
        """Return whether the part `name` brings its head: as its class or function says.

        Raises:
            UserError: no source has it; names the nearest.
        """
        source, bare = self._locate(name)
        target: Any = _builder(source, bare)
        while isinstance(target, partial):
            target = target.func
        return bool(getattr(target, "includes_head", False))

    def _locate(self, name: str) -> tuple[Mapping[str, Builder], str]:
        """Return the source that has a part, and the part's name there."""
        by_prefix = self._by_prefix(name)
        for source, bare in by_prefix:
            if bare in source:
                return source, bare
        for source in self.sources.values():
            if name in source:
                return source, name
        for source, bare in by_prefix:
            further = getattr(source, "further", None)
            if further is not None and further(bare) is not None:
                return source, bare
        raise UserError(f"There is no {self.kind} {name!r}. {instead(name, self.kind, self.sources)}")

    def _by_prefix(self, name: str) -> list[tuple[Mapping[str, Builder], str]]:
        """Return the sources that a name's prefix may mean, long prefixes first, each with the rest of the name."""
        sources = self.sources
        found = [(sources[prefix], without(prefix, name)) for prefix in prefixes_of(name, sources)]
        prefix, _, bare = name.partition("_")
        return [(sources[OWN], bare), *found] if prefix in OWN_PREFIXES else found

    def __contains__(self, name: str) -> bool:
        sources = self.sources.values()
        return any(bare in source for source, bare in self._by_prefix(name)) or any(
            name in source for source in sources
        )

    def __iter__(self) -> Iterator[str]:
        """Yield our own names bare and those of other sources with their prefix."""
        for prefix, source in self.sources.items():
            for name in source:
                yield name if prefix == OWN else f"{prefix}_{name}"

    def build(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Build the part `name`; an error of its constructor comes through as it is."""
        return self.find(name)(*args, **kwargs)


def _builder(source: Mapping[str, Builder], name: str) -> Builder:
    found: Builder = source[name] if name in source else source.further(name)  # type: ignore[attr-defined]
    return found


BACKBONE_REGISTRY = MultiSourceRegistry("backbone", "geocompose.backbones", of_packages=True)
NECK_REGISTRY = Registry("neck", "geocompose.necks", of_packages=True)
DECODER_REGISTRY = MultiSourceRegistry("decoder", "geocompose.decoders", of_packages=True)
FULL_MODEL_REGISTRY = MultiSourceRegistry("model", "geocompose.models")
