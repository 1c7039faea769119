"""torchgeo's models as a source of the backbone registry: `torchgeo_dofa_base_patch16_224`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from torch import nn

from geocompose.backbones.torchgeo.builder import build_torchgeo
from geocompose.catalog.torchgeo import MODELS, REFUSED
from geocompose.registry import BACKBONE_REGISTRY


class TorchgeoSource(Mapping[str, Callable[..., nn.Module]]):
    """Every model of torchgeo by its name, from a table of ours; those that are no backbones are found, and refused."""

    def __getitem__(self, name: str) -> Callable[..., nn.Module]:
        if name not in MODELS and name not in REFUSED:
            raise KeyError(name)
        return partial(build_torchgeo, name)

    def __iter__(self) -> Iterator[str]:
        return iter(MODELS)

    def __len__(self) -> int:
        return len(MODELS)


BACKBONE_REGISTRY.register_source("torchgeo", TorchgeoSource())
