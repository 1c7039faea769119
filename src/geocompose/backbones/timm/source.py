"""timm's models as a source of the backbone registry: `timm_resnet50`, or `resnet50`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import timm
from torch import nn

from geocompose.backbones.timm.builder import build_timm
from geocompose.registry import BACKBONE_REGISTRY


class TimmSource(Mapping[str, Callable[..., nn.Module]]):
    """Every model of timm by its name, with or without a tag of pretrained weights."""

    def __getitem__(self, name: str) -> Callable[..., nn.Module]:
        if not timm.is_model(name):
            raise KeyError(name)
        return partial(build_timm, name)

    def __iter__(self) -> Iterator[str]:
        return iter(timm.list_models())

    def __len__(self) -> int:
        return len(timm.list_models())


BACKBONE_REGISTRY.register_source("timm", TimmSource())
