"""transformers' backbones as a source of the backbone registry: `transformers_dinov2`, or `dinov2`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from torch import nn

from geocompose.backbones.transformers.builder import build_transformers
from geocompose.catalog.transformers import TYPES
from geocompose.registry import BACKBONE_REGISTRY


class TransformersSource(Mapping[str, Callable[..., nn.Module]]):
    """The backbones of transformers by model type; and models of the hub by their name, `facebook/dinov2-small`."""

    def __getitem__(self, name: str) -> Callable[..., nn.Module]:
        if name not in TYPES and name.count("/") != 1:
            raise KeyError(name)
        return partial(build_transformers, name)

    def __iter__(self) -> Iterator[str]:
        return iter(TYPES)

    def __len__(self) -> int:
        return len(TYPES)


BACKBONE_REGISTRY.register_source("transformers", TransformersSource())
