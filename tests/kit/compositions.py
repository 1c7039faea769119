"""Compositions as tests ask for them: a factory's model and plan at one image size."""

from collections.abc import Callable
from typing import Any

from torch import nn

from geocompose.factory import EncoderDecoderFactory
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.wiring import Plan


def built(
    size: int,
    backbone: str | nn.Module = "prithvi_eo_tiny",
    decoder: str | type[nn.Module] = "UperNetDecoder",
    coordinates: tuple[str, ...] | None = None,
    **arguments: Any,
) -> tuple[EncoderDecoderModel, Plan]:
    """Return a model of three classes for images of this size, with planned necks, and its plan."""
    factory = EncoderDecoderFactory(image_size=(size, size), coordinates=coordinates)
    model = factory.build_model("segmentation", backbone, decoder, num_classes=3, **{"necks": "auto", **arguments})
    assert factory.plan is not None
    return model, factory.plan


def planned(
    backbone: str | nn.Module | Callable[..., nn.Module],
    decoder: str | nn.Module | Callable[..., nn.Module],
    necks: Any = "auto",
    **more: Any,
) -> Plan:
    """Return the plan of a composition for images of 64 x 64 pixels."""
    factory = EncoderDecoderFactory((64, 64))
    factory.build_model("segmentation", backbone, decoder, num_classes=3, necks=necks, **more)
    assert factory.plan is not None
    return factory.plan
