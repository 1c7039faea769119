"""Fresh weights as the models of segmentation_models.pytorch begin with them."""

from collections.abc import Callable

from segmentation_models_pytorch.base import initialization
from torch import nn


def start_decoder(decoder: nn.Module) -> None:
    """Draw a decoder's weights as `SegmentationModel.initialize` does: convolutions by He, linear layers by Glorot."""
    _layer_by_layer(decoder, initialization.initialize_decoder)


def start_head(head: nn.Module) -> None:
    """Draw a head's weights as `SegmentationModel.initialize` does: by Glorot, biases 0."""
    _layer_by_layer(head, initialization.initialize_head)


def _layer_by_layer(module: nn.Module, draw: Callable[[nn.Module], None]) -> None:
    # In the order of smp's own loop, so that the same generator gives the same weights. Its loop stops at a norm
    # without weights, such as use_norm=instancenorm: those are passed over.
    for layer in module.modules():
        if not list(layer.children()) and list(layer.parameters()):
            draw(layer)
