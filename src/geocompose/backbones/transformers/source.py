"""transformers' backbones as a source of the backbone registry: `transformers_dinov2`, or `dinov2`."""

from geocompose.backbones.transformers.builder import build_transformers
from geocompose.catalog.sources import NamedParts
from geocompose.catalog.transformers import TYPES
from geocompose.registry import BACKBONE_REGISTRY

# Model types are listed; models of the hub are known by their name there, such as `facebook/dinov2-small`.
BACKBONE_REGISTRY.register_source(
    "transformers", NamedParts(build_transformers, TYPES.keys, has=lambda name: name in TYPES or name.count("/") == 1)
)
