"""Where parts are found by name: registries of our own parts, beside sources such as timm and smp, searched in order.

A registry imports the modules that fill it when it is first asked, so that importing this module costs nothing.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from geocompose.catalog.entry_points import packages
from geocompose.catalog.optional import PACKAGES, not_installed, require
from geocompose.errors import UserError, shortened

Builder = Callable[..., Any]
B = TypeVar("B", bound=Builder)

OWN = "geocompose"
# TerraTorch's prefix means our part of that name first, so that its users' names go on working.
OWN_PREFIXES = (OWN, "terratorch")
# Sources in the order in which bare names are searched, after our own; those of other packages come last.
ORDER = ("timm", "smp", "torchgeo", "transformers", "mmseg", "terratorch")
# How alike two names are that may be meant for each other, from 0 to 1.
NEAR = 0.75
AS_NEAR = 0.05  # of several, how much less than the nearest


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
        raise UserError(f"There is no {self.kind} {name!r}. {_guess(name, spellings)}Allowed: {', '.join(self)}.")

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

    def register(self, part: B) -> B:
        """Add a part to our own source; for use as a decorator."""
        return self._own.register(part)

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
        ordered = sorted(self._others, key=lambda prefix: ORDER.index(prefix) if prefix in ORDER else len(ORDER))
        found = {OWN: self._own, **{prefix: self._others[prefix] for prefix in ordered}}
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
        """Return whether the part `name` brings its head: as it says itself, else as its source says of all its parts.

        Raises:
            UserError: no source has it; names the nearest.
        """
        source, bare = self._locate(name)
        target: Any = _builder(source, bare)
        while isinstance(target, partial):
            target = target.func
        return bool(getattr(target, "includes_head", getattr(source, "includes_head", False)))

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
        raise UserError(f"There is no {self.kind} {name!r}. {self._instead(name)}")

    def _by_prefix(self, name: str) -> list[tuple[Mapping[str, Builder], str]]:
        """Return the sources that a name's prefix may mean, each with the rest of the name; those with a long prefix first."""
        sources = self.sources
        found = [(sources[prefix], name[len(prefix) + 1 :]) for prefix in self._prefixes(name)]
        prefix, _, bare = name.partition("_")
        return [(sources[OWN], bare), *found] if prefix in OWN_PREFIXES else found

    def _prefixes(self, name: str) -> list[str]:
        return sorted((prefix for prefix in self.sources if name.startswith(f"{prefix}_")), key=len, reverse=True)

    def _instead(self, name: str) -> str:
        """Return what to write instead of a name that no source has."""
        meant = next(iter(self._prefixes(name)), name.partition("_")[0] if name.partition("_")[0] in PACKAGES else None)
        if meant is None:
            return f"{_guess(name, self._spellings(self.sources))}{self._overview()}"
        if meant not in self.sources and meant in OWN_PREFIXES:
            guess = _guess(name[len(meant) + 1 :], {each: f"{meant}_{each}" for each in self._own})
            return f"{guess}{self._overview()}"
        if meant not in self.sources:
            return f"{meant} is no source of {self.kind}s here. {self._overview()}"
        # Where the prefix says whose part it is, only theirs are offered.
        names = list(self.sources[meant])
        ours = list(self._own) if meant in OWN_PREFIXES else []
        guess = _guess(name[len(meant) + 1 :], {each: f"{meant}_{each}" for each in [*ours, *names]})
        missing = not_installed(meant) if meant in PACKAGES else None
        if missing is not None:
            return f"{guess}{missing}"
        some = shortened([f"{meant}_{each}" for each in names], 6)
        return f"{guess}{meant} has {len(names)}: {some}."

    def _spellings(self, sources: Mapping[str, Mapping[str, Builder]]) -> dict[str, str]:
        """Return every way to write a part's name -> the way in which it is offered: ours bare, others with their prefix."""
        ours = {each: each for each in sources.get(OWN, ())}
        others = [(prefix, each) for prefix, source in sources.items() if prefix != OWN for each in source]
        return (
            ours
            | {f"{prefix}_{each}": f"{prefix}_{each}" for prefix, each in others}
            | {each: f"{prefix}_{each}" for prefix, each in reversed(others) if each not in ours}
        )

    def _overview(self) -> str:
        """Return what there is: our names, and how many of which source."""
        sources = dict(self.sources)
        ours = ", ".join(sources.pop(OWN))
        others = ", ".join(f"{len(source)} as {prefix}_NAME" for prefix, source in sources.items())
        return f"Allowed: {ours}{'; ' if others else ''}{others}."

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


def _guess(name: str, spellings: Mapping[str, str]) -> str:
    """Return a question after what was meant, or "" where nothing is near enough to be likely.

    spellings: every way to write a name -> the way in which it is offered.
    """
    meant = name.casefold()
    folded = {each.casefold(): full for each, full in reversed(list(spellings.items()))}
    near = {each: _likeness(meant, each) for each in difflib.get_close_matches(meant, folded, n=8, cutoff=NEAR)}
    likely = sorted((each for each in near if near[each] > max(near.values()) - AS_NEAR), key=lambda each: -near[each])
    if not likely:  # a name with more to it, such as a class's
        begun = [each for each in folded if 2 * len(each) >= len(meant) and meant.startswith(each)]
        likely = sorted(begun, key=len)[-1:]
    found = list(dict.fromkeys(folded[each] for each in likely))[:3]
    return f"Did you mean {' or '.join(map(repr, found))}? " if found else ""


def _likeness(name: str, other: str) -> float:
    # A sign for another one is the likelier slip, where names are told apart by their numbers.
    return difflib.SequenceMatcher(a=other, b=name).ratio() + (0.03 if len(name) == len(other) else 0)


BACKBONE_REGISTRY = MultiSourceRegistry("backbone", "geocompose.backbones", of_packages=True)
NECK_REGISTRY = Registry("neck", "geocompose.necks", of_packages=True)
DECODER_REGISTRY = MultiSourceRegistry("decoder", "geocompose.decoders", of_packages=True)
FULL_MODEL_REGISTRY = MultiSourceRegistry("model", "geocompose.models")
