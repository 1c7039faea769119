"""TerraTorch's backbones as a source of the backbone registry: a name means ours first, then that package's."""

from geocompose.backbones.terratorch.builder import build_terratorch, find
from geocompose.catalog.optional import installed
from geocompose.catalog.sources import NamedParts
from geocompose.catalog.terratorch import NAMES
from geocompose.registry import BACKBONE_REGISTRY


def _newer(name: str) -> bool:
    """Return whether a newer or extended TerraTorch has a backbone that our table lacks."""
    return installed("terratorch") and find(name) is not None


BACKBONE_REGISTRY.register_source("terratorch", NamedParts(build_terratorch, lambda: NAMES, has_further=_newer))
