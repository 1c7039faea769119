"""A composition tried on the meta device: planned, checked and run without memory or weights."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from geocompose.composition import Composition, Plan
from geocompose.decoders.needs import Needs, needs_of
from geocompose.errors import UserError
from geocompose.features import FeatureSpec, common_multiple
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.output import ModelOutput
from geocompose.necks.base import NeckSequence
from geocompose.parts import Part, building
from geocompose.planning import check_needs, neck_choice, padding_multiple, plan
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

log = logging.getLogger("geocompose")


@dataclass(frozen=True)
class Conditions:
    """What a composition will be given.

    image_size: rows and columns; null: the backbone's own, or 224. num_frames: time steps; null: as many as the backbone
    takes. coordinates: any of `time` and `location`; null: what the backbone takes.
    """

    image_size: tuple[int, int] | None = None
    num_frames: int | None = None
    coordinates: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Trial:
    """A composition that fits together: how, and the model in shapes alone (on the meta device)."""

    plan: Plan
    model: EncoderDecoderModel


def attempt(composition: Composition, given: Conditions) -> Trial:
    """Plan the necks and try the whole composition on the meta device.

    Raises:
        UserError: the parts don't fit together.
    """
    level = log.level
    log.setLevel(logging.ERROR)  # what a part says of its weights is said once, when it is built for real
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            return _attempt(composition, given)
    finally:
        log.setLevel(level)


def _attempt(composition: Composition, given: Conditions) -> Trial:
    main, backbone = composition.main, composition.backbone.name
    encoder = composition.encoder(with_weights=False)
    size = given.image_size or _own_size(encoder)
    with building("backbone", backbone):
        frames = _frames(encoder, backbone, given.num_frames)
        specs = backbone_specs(encoder, size)
        if not specs:
            raise UserError(f"The backbone {backbone} returns no features.")
        _check_patch(backbone, specs, size)
    needs = _needs(main.decoder)
    choice = neck_choice(composition.necks)
    with building("neck", type(choice).__name__):
        necks = plan(choice, specs, needs, maps_by_default=bool(getattr(encoder, "maps_by_default", False)))
    neck, widths = composition.neck(encoder, necks)
    if neck.in_backbone:
        specs = backbone_specs(encoder, size)
    after = _neck_specs(neck, specs, widths)
    multiple = padding_multiple(specs, after, needs)
    if getattr(encoder, "fixed_size", False):
        multiple = _only_size(encoder, backbone, size)
    for branch in (main, *composition.auxiliary.values()):
        with building("neck", type(choice).__name__):
            check_needs(branch.decoder.name, _needs(branch.decoder), after)
    draft = Plan(necks, specs, after, multiple, size, frames)
    model = composition.wire(encoder, neck, widths, draft)
    return Trial(replace(draft, unreached=_try(composition, model, draft, given)), model)


def _needs(decoder: Part) -> Needs:
    return needs_of(decoder.target, decoder.given)


def _own_size(encoder: nn.Module) -> tuple[int, int]:
    size = getattr(encoder, "img_size", None) or 224
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _frames(encoder: nn.Module, backbone: str, given: int | None) -> int:
    """Return the number of frames of an image.

    Raises:
        UserError: the backbone takes another number than there is.
    """
    own = int(getattr(encoder, "num_frames", 1))
    if given is None or given == own:
        return own
    takes = "one frame" if own == 1 else f"{own} frames"
    there = "one" if given == 1 else f"{given} (data.num_frames={given})"
    many = " (if it can take several at once), or temporal=mean, which gives it one at a time" if given > 1 else ""
    raise UserError(
        f"The backbone {backbone} takes {takes} an image; the data has {there}. Write backbone.num_frames={given}{many}."
    )


def _check_patch(backbone: str, specs: Sequence[FeatureSpec], size: tuple[int, int]) -> None:
    """Refuse images of which no side holds a single cell: they would be padding for the greater part."""
    patch = min((spec.stride for spec in specs if spec.layout != "vector"), default=1)
    if patch > max(size):
        raise UserError(
            f"The patch of the backbone {backbone}, {float(patch):g} x {float(patch):g} pixels, is larger than the image, "
            f"{size[0]} x {size[1]}: what it sees would be padding. Write data.tile_px={math.ceil(patch)} or more, or take a backbone "
            "with smaller patches (backbone.patch_size, where it has that)."
        )


def _only_size(encoder: nn.Module, backbone: str, size: tuple[int, int]) -> int:
    """Return the one size of a backbone that takes no other; smaller images are padded to it.

    Raises:
        UserError: images are larger, or the size is no square.
    """
    own = _own_size(encoder)
    if own[0] != own[1] or max(size) > own[0]:
        raise UserError(
            f"The backbone {backbone} takes images of {own[0]} x {own[1]} pixels only; here they are {size[0]} x {size[1]}. "
            f"Write data.tile_px={own[0]}, or use another backbone."
        )
    return own[0]


def _neck_specs(neck: NeckSequence, specs: list[FeatureSpec], widths: list[int]) -> list[FeatureSpec]:
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


def _try(composition: Composition, model: EncoderDecoderModel, draft: Plan, given: Conditions) -> list[str]:
    """Return the parameters that the composition never uses.

    Raises:
        UserError: the parts don't fit together at the data's image size.
    """
    image = meta_image(input_channels(model.encoder), draft.num_frames, draft.image_size)
    coordinates = meta_coordinates(model.encoder, draft.num_frames, given.coordinates)
    hook = model.register_forward_hook(lambda _, __, returned: _check_outputs(composition, returned))
    try:
        with building("decoder", composition.main.decoder.name):
            return unreached_parameters(model, image, **coordinates)
    except RuntimeError as error:
        features = "; ".join(map(str, draft.decoder_features))
        raise UserError(
            f"{composition.main.decoder.name} can't read these features: {features}. It stopped with: {str(error).splitlines()[0]} "
            "Use neck=auto, or necks that give it what it reads."
        ) from error
    finally:
        hook.remove()


def _check_outputs(composition: Composition, returned: ModelOutput) -> None:
    """Refuse a head, or a decoder with a head, that gives another number of outputs than the task has."""
    branches = {"": (composition.main, returned.output)}
    branches |= {
        f" of {name}": (composition.auxiliary[name], output) for name, output in returned.auxiliary_heads.items()
    }
    for whose, (branch, output) in branches.items():
        part = branch.decoder if branch.decoder.includes_head else branch.head
        given = output.shape[1] if output.ndim > 1 else 1
        if not composition.outputs.squeezed and given != composition.outputs.count:
            raise UserError(
                f"The {part.kind}{whose}, {part.name}, gives {given} outputs, and the task has {composition.outputs.count}: "
                "give it that number, or change num_classes or num_outputs."
            )
