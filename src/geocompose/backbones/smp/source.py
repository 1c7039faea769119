"""The encoders of segmentation_models.pytorch as a source of the backbone registry: `smp_mit_b0`, or `mit_b0`."""

from geocompose.backbones.smp.builder import build_smp_encoder
from geocompose.catalog.smp import NAMES
from geocompose.catalog.sources import NamedParts
from geocompose.registry import BACKBONE_REGISTRY

BACKBONE_REGISTRY.register_source("smp", NamedParts(build_smp_encoder, lambda: NAMES))
