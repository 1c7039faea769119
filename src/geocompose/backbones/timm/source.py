"""timm's models as a source of the backbone registry: `timm_resnet50`, or `resnet50`; a tag of weights may follow."""

import timm

from geocompose.backbones.timm.builder import build_timm
from geocompose.catalog.sources import NamedParts
from geocompose.registry import BACKBONE_REGISTRY

BACKBONE_REGISTRY.register_source("timm", NamedParts(build_timm, timm.list_models, has=timm.is_model))
