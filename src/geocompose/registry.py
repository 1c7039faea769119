"""Where parts are found by name: registries of our own parts, beside sources such as timm and smp, searched in order.

A registry imports the modules that fill it when it is first asked, so that importing this module costs nothing.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from geocompose.errors import UserError, choices

Builder = Callable[..., Any]
B = TypeVar("B", bound=Builder)


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
            package, self._package = importlib.import_module(self._package), None
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{package.__name__}.{module.name}")
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


class TimmSource(Mapping[str, Builder]):
    """Every model of timm by its name; imported when first asked."""

    def __getitem__(self, name: str) -> Builder:
        from functools import partial

        from geocompose.backbones.timm import build_timm

        return partial(build_timm, name)

    def __contains__(self, name: object) -> bool:
        import timm

        return isinstance(name, str) and timm.is_model(name)

    def __iter__(self) -> Iterator[str]:
        import timm

        return iter(timm.list_models())

    def __len__(self) -> int:
        return sum(1 for _ in self)


class SmpSource(Mapping[str, Builder]):
    """The decoders of segmentation_models.pytorch by their architecture's name; imported when first asked."""

    def _architectures(self) -> Mapping[str, Any]:
        from geocompose.decoders.smp import ARCHITECTURES

        return ARCHITECTURES

    def __getitem__(self, name: str) -> Builder:
        from functools import partial

        from geocompose.decoders.smp import SmpDecoder

        return partial(SmpDecoder, arch=name)

    def __contains__(self, name: object) -> bool:
        return name in self._architectures()

    def __iter__(self) -> Iterator[str]:
        return iter(self._architectures())

    def __len__(self) -> int:
        return len(self._architectures())


class MultiSourceRegistry:
    """Several sources under one roof: `timm_resnet50` asks timm; a bare name asks the sources in their order."""

    def __init__(self, kind: str, **sources: Mapping[str, Builder]) -> None:
        """Take the sources by prefix, in the order in which bare names are searched."""
        self.kind = kind
        self.sources: dict[str, Mapping[str, Builder]] = dict(sources)
        self._aliases = {"terratorch": "geocompose"}

    def register(self, part: B) -> B:
        """Add a part to our own source; for use as a decorator."""
        own = self.sources["geocompose"]
        assert isinstance(own, Registry)
        return own.register(part)

    def register_as(self, name: str, builder: Builder) -> None:
        """Add a builder to our own source under a name of its own."""
        own = self.sources["geocompose"]
        assert isinstance(own, Registry)
        own.register_as(name, builder)

    def register_source(self, prefix: str, source: Mapping[str, Builder]) -> None:
        """Add a source that answers to `prefix_NAME`, and to bare names after those that are there.

        Raises:
            ValueError: the prefix is taken.
        """
        if prefix in self.sources:
            raise ValueError(f"There is a source {prefix!r} of {self.kind}s already.")
        self.sources[prefix] = source

    def find(self, name: str) -> Builder:
        """Return the builder of `name`, with or without a source's prefix.

        Raises:
            UserError: no source has it; names the nearest.
        """
        prefix, _, rest = name.partition("_")
        source = self.sources.get(self._aliases.get(prefix, prefix))
        if source is not None and rest in source:
            return source[rest]
        for source in self.sources.values():
            if name in source:
                return source[name]
        raise UserError(f"There is no {self.kind} {name!r}. {choices(name, self)}")

    def __contains__(self, name: str) -> bool:
        prefix, _, rest = name.partition("_")
        source = self.sources.get(self._aliases.get(prefix, prefix))
        return (source is not None and rest in source) or any(name in source for source in self.sources.values())

    def __iter__(self) -> Iterator[str]:
        """Yield our own names bare and those of other sources with their prefix."""
        for prefix, source in self.sources.items():
            for name in source:
                yield name if prefix == "geocompose" else f"{prefix}_{name}"

    def build(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Build the part `name`; an error of its constructor comes through as it is."""
        return self.find(name)(*args, **kwargs)


BACKBONE_REGISTRY = MultiSourceRegistry(
    "backbone", geocompose=Registry("backbone", "geocompose.backbones"), timm=TimmSource()
)
NECK_REGISTRY = Registry("neck", "geocompose.necks")
DECODER_REGISTRY = MultiSourceRegistry(
    "decoder", geocompose=Registry("decoder", "geocompose.decoders"), smp=SmpSource()
)
FULL_MODEL_REGISTRY = MultiSourceRegistry("model", geocompose=Registry("model", "geocompose.models"))
