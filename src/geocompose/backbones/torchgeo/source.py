"""torchgeo's models as a source of the backbone registry: `torchgeo_dofa_base_patch16_224`."""

from geocompose.backbones.torchgeo.builder import build_torchgeo
from geocompose.catalog.sources import NamedParts
from geocompose.catalog.torchgeo import MODELS, REFUSED
from geocompose.registry import BACKBONE_REGISTRY

# Models that can't be backbones are found, and refused with the reason.
BACKBONE_REGISTRY.register_source(
    "torchgeo", NamedParts(build_torchgeo, MODELS.keys, has=lambda name: name in MODELS or name in REFUSED)
)
