"""Where parts are found by name: registries of our own parts, beside sources such as timm and smp, searched in order.

A registry imports the modules that fill it when it is first asked, so that importing this module costs nothing.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from geocompose.errors import UserError, choices

Builder = Callable[..., Any]
B = TypeVar("B", bound=Builder)

OWN_PREFIXES = ("geocompose", "terratorch")  # the second, so that TerraTorch's prefixed names mean our parts


class Registry(Mapping[str, Builder]):
    """Parts by name. Decorate a class or function with `register` to add it under its own name."""

    def __init__(self, kind: str, package: str | None = None) -> None:
        """Name the `kind` of part (for messages) and the `package` whose modules register such parts, if any."""
        self.kind = kind
        self._package = package
        self._parts: dict[str, Builder] = {}

    def register(self, part: B) -> B:
        """Add a class or function under its `__name__` and return it unchanged.

        Raises:
            ValueError: the name is taken.
        """
        name = part.__name__
        if name in self._parts:
            raise ValueError(f"A {self.kind} named {name!r} is registered already ({self._parts[name].__module__}).")
        self._parts[name] = part
        return part

    def register_as(self, name: str, builder: Builder) -> None:
        """Add a builder under a name of its own, for variants that are rows of a table."""
        if name in self._parts:
            raise ValueError(f"A {self.kind} named {name!r} is registered already.")
        self._parts[name] = builder

    def _load(self) -> dict[str, Builder]:
        if self._package:
            name, self._package = self._package, None  # a module that is being loaded may ask for a part already
            try:
                for module in pkgutil.iter_modules(importlib.import_module(name).__path__):
                    importlib.import_module(f"{name}.{module.name}")
            except BaseException:
                self._package = name  # else the parts of the modules that follow would be missing without a word
                raise
        return self._parts

    def __getitem__(self, name: str) -> Builder:
        """Return the builder of `name`.

        Raises:
            UserError: there is none; names the nearest.
        """
        parts = self._load()
        if name not in parts:
            raise UserError(f"There is no {self.kind} {name!r}. {choices(name, parts)}")
        return parts[name]

    def __contains__(self, name: object) -> bool:
        return name in self._load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def build(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Build the part `name`; an error of its constructor comes through as it is."""
        return self[name](*args, **kwargs)


class MultiSourceRegistry:
    """Several sources under one roof: `timm_resnet50` asks timm; a bare name asks ours, then the others in their order.

    Modules of `package` register our own parts, and sources of others, when the registry is first asked.
    """

    def __init__(self, kind: str, package: str) -> None:
        """Name the `kind` of part and the package that fills the registry."""
        self.kind = kind
        self._own = Registry(kind, package)
        self._others: dict[str, Mapping[str, Builder]] = {}

    def register(self, part: B) -> B:
        """Add a part to our own source; for use as a decorator."""
        return self._own.register(part)

    def register_as(self, name: str, builder: Builder) -> None:
        """Add a builder to our own source under a name of its own."""
        self._own.register_as(name, builder)

    def register_source(self, prefix: str, source: Mapping[str, Builder]) -> None:
        """Add a source that answers to `prefix_NAME`, and to bare names after those that are there.

        Raises:
            ValueError: the prefix is taken, or has an underscore, so that no name would ever be found by it.
        """
        if "_" in prefix or not prefix:
            raise ValueError(
                f"A source's prefix ends at the first underscore of a name, so it has none; got {prefix!r}."
            )
        if prefix in (*OWN_PREFIXES, *self._others):
            raise ValueError(f"There is a source {prefix!r} of {self.kind}s already.")
        self._others[prefix] = source

    @property
    def sources(self) -> Mapping[str, Mapping[str, Builder]]:
        """The sources by prefix, in the order in which bare names are searched."""
        len(self._own)  # loads the package, whose modules register the others
        return {OWN_PREFIXES[0]: self._own, **self._others}

    def find(self, name: str) -> Builder:
        """Return the builder of `name`, with or without a source's prefix.

        Raises:
            UserError: no source has it; names the nearest.
        """
        source, bare = self._locate(name)
        return source[bare]

    def includes_head(self, name: str) -> bool:
        """Return whether the part `name` brings its head: as it says itself, else as its source says of all its parts.

        Raises:
            UserError: no source has it; names the nearest.
        """
        source, bare = self._locate(name)
        target: Any = source[bare]
        while isinstance(target, partial):
            target = target.func
        return bool(getattr(target, "includes_head", getattr(source, "includes_head", False)))

    def _locate(self, name: str) -> tuple[Mapping[str, Builder], str]:
        source, bare = self._by_prefix(name)
        if source is not None:
            return source, bare
        for source in self.sources.values():
            if name in source:
                return source, name
        raise UserError(f"There is no {self.kind} {name!r}. {choices(name, self)}")

    def _by_prefix(self, name: str) -> tuple[Mapping[str, Builder] | None, str]:
        prefix, _, bare = name.partition("_")
        source = self.sources.get(OWN_PREFIXES[0] if prefix in OWN_PREFIXES else prefix)
        return (source, bare) if source is not None and bare in source else (None, name)

    def __contains__(self, name: str) -> bool:
        return self._by_prefix(name)[0] is not None or any(name in source for source in self.sources.values())

    def __iter__(self) -> Iterator[str]:
        """Yield our own names bare and those of other sources with their prefix."""
        for prefix, source in self.sources.items():
            for name in source:
                yield name if prefix in OWN_PREFIXES else f"{prefix}_{name}"

    def build(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Build the part `name`; an error of its constructor comes through as it is."""
        return self.find(name)(*args, **kwargs)


BACKBONE_REGISTRY = MultiSourceRegistry("backbone", "geocompose.backbones")
NECK_REGISTRY = Registry("neck", "geocompose.necks")
DECODER_REGISTRY = MultiSourceRegistry("decoder", "geocompose.decoders")
FULL_MODEL_REGISTRY = MultiSourceRegistry("model", "geocompose.models")
