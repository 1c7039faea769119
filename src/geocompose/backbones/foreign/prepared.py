"""A backbone that prepares its features for decoders itself, as some of TerraTorch's and its users' do."""

import logging
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.contracts.images import Image

log = logging.getLogger("geocompose")

PREPARES = "prepare_features_for_image_model"


class PreparedFeatures(nn.Module):
    """Returns what a backbone's `prepare_features_for_image_model` makes of what its forward returns.

    The backbone is under `backbone`, and says all else of itself.
    """

    # What the backbone says of its features as they come no longer holds.
    feature_specs, select_layers, out_indices, patch_size = None, None, None, None

    def __init__(self, backbone: nn.Module) -> None:
        """Take a backbone with such a method."""
        super().__init__()
        self.backbone = backbone
        self.random_inputs = [f"backbone.{name}" for name in getattr(backbone, "random_inputs", None) or []]

    def get_base_model(self) -> nn.Module:
        """Return the backbone, whose name messages have."""
        return self.backbone

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("backbone"), name)

    def forward(self, image: Image, **coordinates: Tensor) -> Any:
        """Return the prepared features."""
        return getattr(self.backbone, PREPARES)(self.backbone(image, **coordinates))


def prepared(backbone: nn.Module, *, without_necks: bool) -> nn.Module:
    """Return a backbone whose features are prepared by itself, where no necks are given and it has a method for that.

    One that says that its tokens become maps (`maps_by_default`), as ours, stays as it is.
    """
    if not without_necks or getattr(backbone, "maps_by_default", False):
        return backbone
    if not callable(getattr(backbone, PREPARES, None)):
        return backbone
    if torch.get_default_device().type != "meta":
        log.info(
            "The backbone %s prepares its features itself (%s), since no necks are given.",
            type(backbone).__name__,
            PREPARES,
        )
    return PreparedFeatures(backbone)
