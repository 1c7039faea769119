"""The factory: parts given by name, as modules or as constructors become one model, checked before it has weights.

A composition is assembled twice by the same lines: first on the meta device, where it is planned and tried at the data's
image size without memory or weights, then for real.
"""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from geocompose.decoders.needs import Needs
from geocompose.errors import UserError, choices
from geocompose.features import FeatureSpec, common_multiple
from geocompose.heads import HEADS
from geocompose.models.pixel_wise import PixelWiseModel
from geocompose.necks.base import NeckSequence
from geocompose.parts import Part, building, resolve, route
from geocompose.planning import NeckConfig, check_needs, neck_choice, plan
from geocompose.probing import (
    backbone_specs,
    features_like,
    input_channels,
    meta_coordinates,
    meta_forward,
    meta_image,
    observe,
    unreached_parameters,
)
from geocompose.registry import BACKBONE_REGISTRY, DECODER_REGISTRY, NECK_REGISTRY

log = logging.getLogger("geocompose")


@dataclass
class Plan:
    """What the dry run found: the necks, the features at each joint, the multiple to pad to, and what is never used."""

    necks: list[NeckConfig]
    backbone_features: list[FeatureSpec]
    decoder_features: list[FeatureSpec]
    pad_multiple: int
    image_size: tuple[int, int]
    num_frames: int
    unreached: list[str] = field(default_factory=list)


class EncoderDecoderFactory:
    """Builds models from a backbone, necks, a decoder and a head."""

    def __init__(self, image_size: tuple[int, int] | None = None, *, coordinates: bool = True) -> None:
        """Say what compositions will be given.

        image_size: rows and columns at which they are tried; the backbone's own, or 224, where null.
        coordinates: whether dates and places will be given to backbones that take them; what only they use doesn't
            learn otherwise.
        """
        self.image_size = image_size
        self.coordinates = coordinates
        self.plan: Plan | None = None  # of the last model built

    def build_model(
        self,
        task: str,
        backbone: str | nn.Module | Callable[..., nn.Module],
        decoder: str | nn.Module | Callable[..., nn.Module],
        backbone_kwargs: Mapping[str, Any] | None = None,
        decoder_kwargs: Mapping[str, Any] | None = None,
        head_kwargs: Mapping[str, Any] | None = None,
        num_classes: int | None = None,
        necks: object = None,
        aux_decoders: object = None,
        rescale: bool = True,
        peft_config: Mapping[str, Any] | None = None,
        head: Callable[..., nn.Module] | None = None,
        **kwargs: Any,
    ) -> PixelWiseModel:
        """Return the model, checked for shapes at the image size before it is given memory or weights.

        task: `segmentation`. backbone, decoder: a registered name (with or without its source's prefix), a module, or a
        constructor (a Hydra partial) that the factory completes. head: a constructor; the task's own where null.
        backbone_kwargs, decoder_kwargs, head_kwargs, and `kwargs` with the prefixes backbone_, decoder_ and head_: arguments of
        the parts. num_classes: outputs a pixel. necks: null (as they are; Prithvi's tokens become maps), `auto` (planned),
        or a list of mappings with a `name`. rescale: whether logits are resized to the image.

        Raises:
            UserError: a ValueError: an unknown part, an argument that nobody takes, or parts that don't fit together.
        """
        if task not in HEADS:
            raise UserError(f"There is no task {task!r}. {choices(task, HEADS)}")
        if aux_decoders:
            raise UserError("aux_decoders are not supported yet; leave them null.")
        if peft_config:
            raise UserError("peft_config is not supported yet; leave it null.")
        if num_classes is None or num_classes < 1:
            raise UserError(f"segmentation needs num_classes, a whole number from 1 on; got {num_classes}.")
        given = {"backbone": backbone_kwargs, "decoder": decoder_kwargs, "head": head_kwargs}
        routed = route(kwargs, given, own=list(inspect.signature(self.build_model).parameters)[:-1])
        composition = Composition(
            backbone=resolve("backbone", backbone, BACKBONE_REGISTRY.find, routed["backbone"]),
            decoder=resolve("decoder", decoder, DECODER_REGISTRY.find, routed["decoder"]),
            head=resolve("head", head or HEADS[task], None, routed["head"]),
            necks=necks,
            num_classes=num_classes,
            rescale=rescale,
            coordinates=self.coordinates,
        )
        self.plan = composition.dry_run(self.image_size)
        model = composition.assemble(self.plan, with_weights=True)
        # What no output depends on must not wait for a gradient: distributed training would stop at its second step.
        unreached = [name for name in self.plan.unreached if model.get_parameter(name).requires_grad]
        for name in unreached:
            model.get_parameter(name).requires_grad_(False)
        if unreached:
            shown = ", ".join(unreached[:3]) + (", ..." if len(unreached) > 3 else "")
            log.info("%d parameter tensors are not used by this composition and don't learn: %s", len(unreached), shown)
        return model


@dataclass
class Composition:
    """Resolved parts and the one way in which they become a model."""

    backbone: Part
    decoder: Part
    head: Part
    necks: object
    num_classes: int
    rescale: bool
    coordinates: bool

    def dry_run(self, image_size: tuple[int, int] | None) -> Plan:
        """Plan the necks and try the whole composition on the meta device.

        Raises:
            UserError: the parts don't fit together.
        """
        level = log.level
        log.setLevel(logging.ERROR)  # what a part says of its weights is said once, when it is built for real
        try:
            with torch.device("meta"), torch.random.fork_rng(devices=[]):
                return self._plan(image_size)
        finally:
            log.setLevel(level)

    def _plan(self, image_size: tuple[int, int] | None) -> Plan:
        encoder = self._encoder(with_weights=False)
        size = image_size or _own_size(encoder)
        frames = int(getattr(encoder, "num_frames", 1))
        with building("backbone", self.backbone.name):
            specs = backbone_specs(encoder, size)
        if not specs:
            raise UserError(f"The backbone {self.backbone.name} returns no features.")
        needs = _needs(self.decoder)
        necks = plan(
            neck_choice(self.necks), specs, needs, maps_by_default=bool(getattr(encoder, "maps_by_default", False))
        )
        neck, widths = self._neck(encoder, necks)
        if neck.in_backbone:
            specs = backbone_specs(encoder, size)
        after = self._neck_specs(neck, specs, widths)
        multiple = common_multiple([*specs, *after])
        if getattr(encoder, "fixed_size", False):
            own = _own_size(encoder)
            multiple = own[0]  # smaller images are padded to the one size it takes
            if own[0] != own[1] or max(size) > own[0]:
                raise UserError(
                    f"The backbone {self.backbone.name} takes images of {own[0]} x {own[1]} pixels only; here they are "
                    f"{size[0]} x {size[1]}. Write data.tile_px={own[0]}, or use another backbone."
                )
        check_needs(self.decoder.name, needs, after)
        draft = Plan(necks, specs, after, multiple, size, frames)
        return replace(draft, unreached=self._try(self.assemble(draft, with_weights=False), draft))

    def _neck_specs(self, neck: NeckSequence, specs: list[FeatureSpec], widths: list[int]) -> list[FeatureSpec]:
        # Tried on an image that every level divides, whatever the data's size: strides are then exact.
        multiple = common_multiple(specs)
        size = (16 * multiple, 24 * multiple)
        with building("neck", ", ".join(type(step).__name__ for step in neck) or "none"):
            features = meta_forward(neck, features_like(specs, size), size)
            if not isinstance(features, list | tuple):
                raise UserError(f"The necks return {type(features).__name__}; a neck returns a list of tensors.")
            return observe(features, widths, size, part="the necks")

    def _try(self, model: PixelWiseModel, draft: Plan) -> list[str]:
        """Return the parameters that the composition never uses.

        Raises:
            UserError: the parts don't fit together at the data's image size.
        """
        image = meta_image(input_channels(model.encoder), draft.num_frames, draft.image_size)
        coordinates = meta_coordinates(model.encoder, draft.num_frames) if self.coordinates else {}
        try:
            return unreached_parameters(model, image, **coordinates)
        except RuntimeError as error:
            features = "; ".join(map(str, draft.decoder_features))
            raise UserError(
                f"{self.decoder.name} can't read these features: {features}. It stopped with: {str(error).splitlines()[0]} "
                "Use neck=auto, or necks that give it what it reads."
            ) from error

    def assemble(self, draft: Plan, *, with_weights: bool) -> PixelWiseModel:
        """Build the parts and wire them."""
        encoder = self._encoder(with_weights=with_weights)
        neck, widths = self._neck(encoder, draft.necks)
        fill: dict[str, Any] = {}
        if self.decoder.takes("strides"):
            fill["strides"] = [spec.stride for spec in draft.decoder_features]
        includes_head = bool(getattr(self.decoder.target, "includes_head", False))
        if includes_head and self.decoder.takes("num_classes"):
            fill["num_classes"] = self.num_classes
        decoder = self.decoder.build(widths, **fill)
        if includes_head:
            for name in self.head.changed():
                raise UserError(f"{self.decoder.name} includes its head, so nobody takes head_{name}; leave it out.")
            head = None
        else:
            width = getattr(decoder, "out_channels", None)
            if not isinstance(width, int):
                raise UserError(
                    f"The decoder {self.decoder.name} has no out_channels: the width of its output, an int."
                )
            head = self.head.build(width, self.num_classes)
        return PixelWiseModel(
            encoder=encoder,
            neck=neck,
            decoder=decoder,
            head=head,
            pad_multiple=draft.pad_multiple,
            rescale=self.rescale,
        )

    def _encoder(self, *, with_weights: bool) -> nn.Module:
        if with_weights or self.backbone.module is not None:
            return self.backbone.build()
        without = {"pretrained": False, "ckpt_path": None}
        arguments = {**self.backbone.arguments, **{k: v for k, v in without.items() if self.backbone.takes(k)}}
        return Part("backbone", self.backbone.name, constructor=self.backbone.constructor, arguments=arguments).build()

    def _neck(self, encoder: nn.Module, configs: list[NeckConfig]) -> tuple[NeckSequence, list[int]]:
        widths = list(encoder.out_channels)  # type: ignore[arg-type]
        necks = []
        for position, config in enumerate(configs):
            arguments = {key: value for key, value in config.items() if key != "name"}
            name = str(config["name"])
            neck: Any = Part("neck", name, constructor=NECK_REGISTRY[name], arguments=arguments).build(widths)
            if position == 0 and self.backbone.module is None and hasattr(neck, "push_into"):
                neck.push_into(encoder)
                widths = list(encoder.out_channels)  # type: ignore[arg-type]
            widths = neck.process_channel_list(widths)
            necks.append(neck)
        return NeckSequence(necks), widths


def _needs(decoder: Part) -> Needs:
    declared = getattr(decoder.target, "needs", None)
    if isinstance(declared, Needs):
        return declared
    if callable(declared):
        given = {**getattr(decoder.constructor, "keywords", {}), **decoder.arguments}
        return declared(given["arch"])
    return Needs()


def _own_size(encoder: nn.Module) -> tuple[int, int]:
    size = getattr(encoder, "img_size", None) or 224
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
