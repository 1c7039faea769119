"""Resolved parts and the one way in which they become a model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from geocompose.arguments import check_kinds
from geocompose.backbones.foreign.prepared import prepared
from geocompose.backbones.fusion.merged import merged
from geocompose.backbones.temporal.backbone import TemporalBackbone
from geocompose.catalog.origin import is_ours
from geocompose.contracts.backbone import contract_of
from geocompose.contracts.features import FeatureSpec
from geocompose.contracts.meta import on_meta
from geocompose.contracts.needs import needs_of
from geocompose.contracts.usual_head import usual_head_of
from geocompose.errors import UserError, building
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.padding import PaddingMode
from geocompose.models.pixel_wise import PixelWiseModel
from geocompose.models.scalar_output import ScalarOutputModel
from geocompose.models.seeding import PartSeeds
from geocompose.necks.base import NeckSequence
from geocompose.parts import Part, resolve
from geocompose.peft.methods import PeftMethod
from geocompose.planning import AutoNecks, NeckConfig, NeckList, NoNecks, neck_choice
from geocompose.planning.trace import at_neck, neck_name
from geocompose.registry import NECK_REGISTRY


@dataclass
class Plan:
    """What the dry run found: the necks, the features at each joint, the multiple to pad to, and what is never used.

    warnings: what works, but hardly as intended.
    """

    necks: list[NeckConfig]
    backbone_features: list[FeatureSpec]
    decoder_features: list[FeatureSpec]
    pad_multiple: int
    image_size: tuple[int, int]
    num_frames: int
    unreached: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Branch:
    """A decoder and its head: the main ones, or those of an auxiliary output."""

    decoder: Part
    head: Part


@dataclass
class Outputs:
    """What comes out of a model.

    per_pixel: for each pixel, or for the image. count: classes, or variables. squeezed: a single variable's dimension
    is left out. rescale, image_size_out: see `PixelWiseModel`.
    """

    per_pixel: bool
    count: int
    squeezed: bool
    rescale: bool = True
    image_size_out: tuple[int, int] | None = None


@dataclass
class Composition:
    """Parts, and how they are put together.

    temporal: arguments of the wrapper that takes a backbone through time, or None. merging: how features by modality
    become one list; None for what the backbone itself says.
    """

    backbone: Part
    temporal: dict[str, Any] | None
    main: Branch
    auxiliary: dict[str, Branch]
    necks: object
    peft: PeftMethod
    outputs: Outputs
    padding: PaddingMode | None
    merging: str | None = None

    def assemble(self, plan: Plan) -> EncoderDecoderModel:
        """Build the parts with their weights, and wire them as planned."""
        seeds = PartSeeds.drawn()
        with seeds.of("backbone"):
            encoder = self.encoder(with_weights=True)
        with seeds.of("neck"):
            neck, widths = self.neck(encoder, plan.necks)
        return self.wire(encoder, neck, widths, plan, seeds)

    def wire(
        self, encoder: nn.Module, neck: NeckSequence, widths: list[int], plan: Plan, seeds: PartSeeds
    ) -> EncoderDecoderModel:
        """Return the model of an encoder and its necks, with decoder and head for features of these widths.

        seeds: of the parts that are built here.
        """
        with building("peft", type(self.peft).__name__), seeds.of("peft"):
            encoder = self.peft.adapt(encoder)
        with building("decoder", self.main.decoder.name):
            decoder, head = self._branch(self.main, widths, plan, seeds, "decoder")
        auxiliary: dict[str, tuple[nn.Module, nn.Module | None]] = {}
        added = {name: self.added_for_others(branch, plan.necks) for name, branch in self.auxiliary.items()}
        for name, branch in self.auxiliary.items():
            with building("auxiliary", name):
                auxiliary[name] = self._branch(branch, widths, plan, seeds, f"auxiliary.{name}", added[name])
        wired: dict[str, Any] = {
            "encoder": encoder,
            "neck": neck,
            "decoder": decoder,
            "head": head,
            "aux_heads": auxiliary,
            "aux_passes_over": added,
            "pad_multiple": plan.pad_multiple,
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

    def added_for_others(self, branch: Branch, necks: list[NeckConfig]) -> int:
        """Return how many of the first features are there for another decoder to skip, and hold nothing for this one.

        A planned list has levels for the main decoder; an auxiliary one counts the features behind them. With a list
        that a user wrote, every decoder gets all features.
        """
        if not isinstance(neck_choice(self.necks), AutoNecks):
            return 0
        added = sum(neck["name"] == "AddInputLevel" for neck in necks)
        return max(0, added - needs_of(branch.decoder.target, branch.decoder.given).skips)

    def _branch(
        self,
        branch: Branch,
        widths: list[int],
        plan: Plan,
        seeds: PartSeeds,
        name: str,
        passes_over: int = 0,
    ) -> tuple[nn.Module, nn.Module | None]:
        part = branch.decoder
        widths = widths[passes_over:]
        fill: dict[str, Any] = {}
        if part.takes("strides"):
            fill["strides"] = [spec.stride for spec in plan.decoder_features[passes_over:]]
        if part.includes_head and part.takes("num_classes"):
            fill["num_classes"] = self.outputs.count
        for key, value in fill.items():
            given = part.given.get(key)
            if given is not None and given != value:
                raise UserError(
                    f"{part.name}: {key} follows from the composition and is {value} here; got "
                    f"decoder_{key}={given!r}. Leave it out."
                )
        if part.includes_head:
            refuse_head(branch)
            with seeds.of(name):
                return part.build(widths, **fill), None
        with seeds.of(name):
            decoder = part.build(widths, **fill)
        width = getattr(decoder, "out_channels", None)
        if not isinstance(width, int):
            raise UserError(
                f"The decoder {part.name} has no out_channels: the width of its output, an int. Set it in its "
                "constructor, such as self.out_channels = 64, or includes_head = True on its class if it returns what "
                "a head would."
            )
        with seeds.of(f"{name}.head"):
            return decoder, _head(branch.head, decoder, width, self.outputs.count)

    def encoder(self, *, with_weights: bool) -> nn.Module:
        """Return the backbone, taken through time where that is asked for; without weights nothing is read."""
        encoder = self._image_encoder(with_weights=with_weights)
        with building("backbone", self.backbone.name):
            encoder = prepared(encoder, without_necks=isinstance(neck_choice(self.necks), NoNecks))
            encoder = merged(encoder, self.merging)
        if self.temporal is None:
            return encoder
        with building("temporal", str(self.temporal.get("pooling"))):
            check_kinds(TemporalBackbone, self.temporal, part="backbone_use_temporal", prefix="backbone_temporal_")
            return TemporalBackbone(encoder, **self.temporal)

    def _image_encoder(self, *, with_weights: bool) -> nn.Module:
        if with_weights:
            return self.backbone.build()
        if self.backbone.module is not None:
            # A trial must not change a finished module; its shapes are all that is asked for.
            return on_meta(self.backbone.module)
        without = {"pretrained": False, "ckpt_path": None}
        arguments = {**self.backbone.arguments, **{k: v for k, v in without.items() if self.backbone.takes(k)}}
        return replace(self.backbone, arguments=arguments).build()

    def neck(self, encoder: nn.Module, configs: list[NeckConfig]) -> tuple[NeckSequence, list[int]]:
        """Return necks, and the widths of the features that they hand on; the encoder is told which ones they take."""
        widths = contract_of(encoder).widths
        necks = []
        written = isinstance(neck_choice(self.necks), NeckList)
        for position, config in enumerate(configs):
            with at_neck(position, neck_name(config), written=written):
                neck: Any = _neck_part(config).build(widths)
            if position == 0 and self.backbone.module is None and hasattr(neck, "push_into"):
                neck.push_into(encoder)
                widths = contract_of(encoder).widths
            widths = neck.process_channel_list(widths)
            necks.append(neck)
        return NeckSequence(necks), widths


def refuse_head(branch: Branch) -> None:
    """Refuse a head, or arguments of one, beside a decoder that includes its own.

    Raises:
        UserError: names what would have no effect.
    """
    if branch.head.module is not None:
        raise UserError(
            f"{branch.decoder.name} includes its head, so {branch.head.name} would have no effect; leave it out."
        )
    for key in branch.head.changed():
        raise UserError(
            f"{branch.decoder.name} includes its head, so head_{key} (head.{key}) would have no effect; leave it out."
        )


def _head(part: Part, decoder: nn.Module, width: int, count: int) -> nn.Module:
    """Return a decoder's head, with the kernel and the fresh weights of the decoder's own library where it is ours."""
    usual = usual_head_of(decoder)
    if "kernel_size" in part.given and part.given["kernel_size"] is None and part.takes("kernel_size"):
        part = replace(part, arguments={**part.arguments, "kernel_size": usual.kernel_size})
    head = part.build(width, count)
    # A finished module has its weights, and a class of the user's draws its own.
    if usual.start is not None and part.module is None and is_ours(part.target):
        usual.start(head)
    return head


def _neck_part(config: NeckConfig | nn.Module | Callable[..., nn.Module]) -> Part:
    """Return the part of a neck: by its name with arguments, or as a module or constructor."""
    if not isinstance(config, Mapping):
        return resolve("neck", config, NECK_REGISTRY.__getitem__, {})
    arguments = {key: value for key, value in config.items() if key != "name"}
    return resolve("neck", str(config["name"]), NECK_REGISTRY.__getitem__, arguments)
