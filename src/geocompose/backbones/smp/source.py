"""smp's encoders as a source of the backbone registry: `smp_mit_b0`, or `mit_b0`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from torch import nn

from geocompose.backbones.smp.builder import build_smp_encoder
from geocompose.catalog.smp import NAMES
from geocompose.registry import BACKBONE_REGISTRY


class SmpEncoderSource(Mapping[str, Callable[..., nn.Module]]):
    """The encoders of segmentation_models.pytorch by their names there."""

    def __getitem__(self, name: str) -> Callable[..., nn.Module]:
        if name not in NAMES:
            raise KeyError(name)
        return partial(build_smp_encoder, name)

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


BACKBONE_REGISTRY.register_source("smp", SmpEncoderSource())
