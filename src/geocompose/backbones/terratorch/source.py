"""TerraTorch's backbones as a source of the backbone registry: `terratorch_NAME` means ours first, then that package's."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from torch import nn

from geocompose.backbones.terratorch.builder import build_terratorch, find
from geocompose.catalog.optional import installed
from geocompose.catalog.terratorch import NAMES
from geocompose.registry import BACKBONE_REGISTRY


class TerratorchSource(Mapping[str, Callable[..., nn.Module]]):
    """The backbones of TerraTorch by their names there."""

    def __getitem__(self, name: str) -> Callable[..., nn.Module]:
        if name not in NAMES:
            raise KeyError(name)
        return partial(build_terratorch, name)

    def further(self, name: str) -> Callable[..., nn.Module] | None:
        """Return a backbone that a newer or extended TerraTorch has; asked for by its prefix, it is imported for that."""
        return partial(build_terratorch, name) if installed("terratorch") and find(name) is not None else None

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


BACKBONE_REGISTRY.register_source("terratorch", TerratorchSource())
