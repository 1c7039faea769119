"""Resolved parts and the one way in which they become a model, on the meta device first."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from geocompose.argument_kinds import check_kinds
from geocompose.backbones.temporal import TemporalBackbone
from geocompose.decoders.needs import Needs, needs_of
from geocompose.errors import UserError
from geocompose.features import FeatureSpec, common_multiple
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.output import ModelOutput
from geocompose.models.padding import PaddingMode
from geocompose.models.pixel_wise import PixelWiseModel
from geocompose.models.scalar_output import ScalarOutputModel
from geocompose.necks.base import NeckSequence
from geocompose.parts import Part, building, resolve
from geocompose.peft.methods import PeftMethod
from geocompose.planning import NeckConfig, check_needs, neck_choice, padding_multiple, plan
from geocompose.probing import (
    backbone_specs,
    features_like,
    input_channels,
    meta_coordinates,
    meta_forward,
    meta_image,
    observe,
    on_meta,
    unreached_parameters,
)
from geocompose.registry import NECK_REGISTRY

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


@dataclass
class Branch:
    """A decoder and its head: the main ones, or those of an auxiliary output."""

    decoder: Part
    head: Part


@dataclass
class Outputs:
    """What comes out of a model.

    per_pixel: for each pixel, or for the image. count: classes, or variables. squeezed: a single variable's dimension is
    left out. rescale, image_size_out: see `PixelWiseModel`.
    """

    per_pixel: bool
    count: int
    squeezed: bool
    rescale: bool = True
    image_size_out: tuple[int, int] | None = None


@dataclass
class Composition:
    """Parts, and how they are put together.

    temporal: arguments of the wrapper that takes a backbone through time, or None.
    """

    backbone: Part
    temporal: dict[str, Any] | None
    main: Branch
    auxiliary: dict[str, Branch]
    necks: object
    peft: PeftMethod
    outputs: Outputs
    padding: PaddingMode | None
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
        needs = _needs(self.main.decoder)
        necks = plan(
            neck_choice(self.necks), specs, needs, maps_by_default=bool(getattr(encoder, "maps_by_default", False))
        )
        neck, widths = self._neck(encoder, necks)
        if neck.in_backbone:
            specs = backbone_specs(encoder, size)
        after = self._neck_specs(neck, specs, widths)
        multiple = padding_multiple(specs, after, needs)
        if getattr(encoder, "fixed_size", False):
            multiple = self._only_size(encoder, size)
        for branch in (self.main, *self.auxiliary.values()):
            check_needs(branch.decoder.name, _needs(branch.decoder), after)
        draft = Plan(necks, specs, after, multiple, size, frames)
        return replace(draft, unreached=self._try(self.assemble(draft, with_weights=False), draft))

    def _only_size(self, encoder: nn.Module, size: tuple[int, int]) -> int:
        """Return the one size of a backbone that takes no other; smaller images are padded to it."""
        own = _own_size(encoder)
        if own[0] != own[1] or max(size) > own[0]:
            raise UserError(
                f"The backbone {self.backbone.name} takes images of {own[0]} x {own[1]} pixels only; here they are "
                f"{size[0]} x {size[1]}. Write data.tile_px={own[0]}, or use another backbone."
            )
        return own[0]

    def _neck_specs(self, neck: NeckSequence, specs: list[FeatureSpec], widths: list[int]) -> list[FeatureSpec]:
        # Tried on an image that every level divides, whatever the data's size: strides are then exact.
        multiple = common_multiple(specs)
        size = (16 * multiple, 24 * multiple)
        names = ", ".join(type(step).__name__ for step in neck) or "none"
        with building("neck", names):
            try:
                features = meta_forward(neck, features_like(specs, size), size)
            except UserError:
                raise
            except (RuntimeError, ValueError, NotImplementedError) as error:
                # Torch's own, of a shape that a layer can't take.
                given = "; ".join(map(str, dict.fromkeys(specs)))
                raise UserError(
                    f"The necks {names} can't be called one after the other on these features: {given}. They stopped with: "
                    f"{str(error).splitlines()[0]} Tokens become maps by ReshapeTokensToImage, channels last become first by "
                    "PermuteDims with new_order [0, 3, 1, 2]; or use necks='auto'."
                ) from error
            if not isinstance(features, list | tuple):
                raise UserError(f"The necks return {type(features).__name__}; a neck returns a list of tensors.")
            return observe(features, widths, size, part="the necks")

    def _try(self, model: EncoderDecoderModel, draft: Plan) -> list[str]:
        """Return the parameters that the composition never uses.

        Raises:
            UserError: the parts don't fit together at the data's image size.
        """
        image = meta_image(input_channels(model.encoder), draft.num_frames, draft.image_size)
        coordinates = meta_coordinates(model.encoder, draft.num_frames) if self.coordinates else {}
        hook = model.register_forward_hook(lambda _, __, returned: self._check_outputs(returned))
        try:
            with building("the trial of decoder", self.main.decoder.name):
                return unreached_parameters(model, image, **coordinates)
        except RuntimeError as error:
            features = "; ".join(map(str, draft.decoder_features))
            raise UserError(
                f"{self.main.decoder.name} can't read these features: {features}. It stopped with: {str(error).splitlines()[0]} "
                "Use neck=auto, or necks that give it what it reads."
            ) from error
        finally:
            hook.remove()

    def _check_outputs(self, returned: ModelOutput) -> None:
        """Refuse a head, or a decoder with a head, that gives another number of outputs than the task has."""
        branches = {"": (self.main, returned.output)}
        branches |= {f" of {name}": (self.auxiliary[name], output) for name, output in returned.auxiliary_heads.items()}
        for whose, (branch, output) in branches.items():
            part = branch.decoder if branch.decoder.includes_head else branch.head
            given = output.shape[1] if output.ndim > 1 else 1
            if not self.outputs.squeezed and given != self.outputs.count:
                raise UserError(
                    f"The {part.kind}{whose}, {part.name}, gives {given} outputs, and the task has {self.outputs.count}: "
                    "give it that number, or change num_classes or num_outputs."
                )

    def assemble(self, draft: Plan, *, with_weights: bool) -> EncoderDecoderModel:
        """Build the parts and wire them."""
        encoder = self._encoder(with_weights=with_weights)
        neck, widths = self._neck(encoder, draft.necks)
        with building("peft", type(self.peft).__name__):
            encoder = self.peft.adapt(encoder)
        decoder, head = self._branch(self.main, widths, draft)
        auxiliary: dict[str, tuple[nn.Module, nn.Module | None]] = {}
        for name, branch in self.auxiliary.items():
            with building("auxiliary decoder", name):
                auxiliary[name] = self._branch(branch, widths, draft)
        wired: dict[str, Any] = {
            "encoder": encoder,
            "neck": neck,
            "decoder": decoder,
            "head": head,
            "aux_heads": auxiliary,
            "pad_multiple": draft.pad_multiple,
            "padding": self.padding,
            "single_output": self.outputs.squeezed,
        }
        if not self.outputs.per_pixel:
            model: EncoderDecoderModel = ScalarOutputModel(**wired)
        else:
            model = PixelWiseModel(**wired, rescale=self.outputs.rescale, image_size_out=self.outputs.image_size_out)
        if self.peft.freezes:
            model.freeze_encoder()
        return model

    def _branch(self, branch: Branch, widths: list[int], draft: Plan) -> tuple[nn.Module, nn.Module | None]:
        part = branch.decoder
        fill: dict[str, Any] = {}
        if part.takes("strides"):
            fill["strides"] = [spec.stride for spec in draft.decoder_features]
        if part.includes_head and part.takes("num_classes"):
            fill["num_classes"] = self.outputs.count
        for name, value in fill.items():
            given = part.given.get(name)
            if given is not None and given != value:
                raise UserError(
                    f"{part.name}: {name} follows from the composition and is {value} here; got decoder_{name}={given!r}. Leave it out."
                )
        decoder = part.build(widths, **fill)
        if part.includes_head:
            if branch.head.module is not None:
                raise UserError(f"{part.name} includes its head, so nobody takes {branch.head.name}; leave it out.")
            for name in branch.head.changed():
                raise UserError(f"{part.name} includes its head, so nobody takes head_{name}; leave it out.")
            return decoder, None
        width = getattr(decoder, "out_channels", None)
        if not isinstance(width, int):
            raise UserError(f"The decoder {part.name} has no out_channels: the width of its output, an int.")
        return decoder, branch.head.build(width, self.outputs.count)

    def _encoder(self, *, with_weights: bool) -> nn.Module:
        encoder = self._image_encoder(with_weights=with_weights)
        if self.temporal is None:
            return encoder
        check_kinds(TemporalBackbone, self.temporal, part="backbone_use_temporal", prefix="backbone_temporal_")
        return TemporalBackbone(encoder, **self.temporal)

    def _image_encoder(self, *, with_weights: bool) -> nn.Module:
        if with_weights:
            return self.backbone.build()
        if self.backbone.module is not None:
            # A trial must not change what somebody made; its shapes are all that is asked for.
            return on_meta(self.backbone.module)
        without = {"pretrained": False, "ckpt_path": None}
        arguments = {**self.backbone.arguments, **{k: v for k, v in without.items() if self.backbone.takes(k)}}
        return replace(self.backbone, arguments=arguments).build()

    def _neck(self, encoder: nn.Module, configs: list[NeckConfig]) -> tuple[NeckSequence, list[int]]:
        widths = list(encoder.out_channels)  # type: ignore[arg-type]
        necks = []
        for position, config in enumerate(configs):
            neck: Any = _neck_part(config).build(widths)
            if position == 0 and self.backbone.module is None and hasattr(neck, "push_into"):
                neck.push_into(encoder)
                widths = list(encoder.out_channels)  # type: ignore[arg-type]
            widths = neck.process_channel_list(widths)
            necks.append(neck)
        return NeckSequence(necks), widths


def _neck_part(config: NeckConfig | nn.Module | Callable[..., nn.Module]) -> Part:
    """Return the part of a neck: by its name with arguments, or as somebody built it."""
    if not isinstance(config, Mapping):
        return resolve("neck", config, NECK_REGISTRY.__getitem__, {})
    arguments = {key: value for key, value in config.items() if key != "name"}
    return resolve("neck", str(config["name"]), NECK_REGISTRY.__getitem__, arguments)


def _needs(decoder: Part) -> Needs:
    return needs_of(decoder.target, decoder.given)


def _own_size(encoder: nn.Module) -> tuple[int, int]:
    size = getattr(encoder, "img_size", None) or 224
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
