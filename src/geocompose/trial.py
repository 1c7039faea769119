"""A composition tried on the meta device: planned, checked and run without memory or weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from geocompose.backbones.temporal.steps import idle_pooling
from geocompose.catalog.origin import is_ours
from geocompose.contracts.backbone import BackboneContract, contract_of
from geocompose.contracts.features import FeatureSpec, common_multiple
from geocompose.contracts.meta import meta_image, unreached_parameters
from geocompose.contracts.needs import Needs, needs_of
from geocompose.contracts.probing import backbone_specs, meta_coordinates
from geocompose.contracts.shapes import check_declared
from geocompose.errors import FOREIGN_ERRORS, UserError, building, first_line, quiet
from geocompose.imagery.coordinates import check_taken
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.output import ModelOutput
from geocompose.models.seeding import PartSeeds
from geocompose.parts import Part
from geocompose.planning import NeckList, neck_choice, padding_multiple, plan
from geocompose.planning.checks import check_needs, lost_levels, unread_advice
from geocompose.planning.trace import check_order, listed, neck_name, traced
from geocompose.wiring import Composition, Outputs, Plan


@dataclass(frozen=True)
class Conditions:
    """What a composition will be given.

    image_size: rows and columns; null: the backbone's own, or 224. num_frames: time steps; null: as many as the
    backbone takes. coordinates: any of `time` and `location`; null: what the backbone takes.
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
    # What a part says of its weights is said once, when it is built for real.
    with quiet(), torch.device("meta"), torch.random.fork_rng(devices=[]):
        return _attempt(composition, given)


def _attempt(composition: Composition, given: Conditions) -> Trial:
    main, backbone = composition.main, composition.backbone.name
    encoder = composition.encoder(with_weights=False)
    with building("backbone", backbone):
        contract = contract_of(encoder)
        size = given.image_size or contract.own_size
        frames = _frames(contract, backbone, given.num_frames)
        check_taken(contract.coords_encoding, backbone, given.coordinates or ())
        specs = backbone_specs(encoder, size)
        if not specs:
            raise UserError(f"The backbone {backbone} returns no features.")
    with building("decoder", main.decoder.name):
        needs = _needs(main.decoder, composition.outputs)
    choice = neck_choice(composition.necks)
    with building("neck", type(choice).__name__):
        necks = plan(
            choice,
            specs,
            needs,
            maps_by_default=contract.maps_by_default,
            auxiliary=[_needs(branch.decoder, composition.outputs) for branch in composition.auxiliary.values()],
        )
        if isinstance(choice, NeckList):
            check_order(necks, specs)
        neck, widths = composition.neck(encoder, necks)
        if neck.in_backbone:
            specs = backbone_specs(encoder, size)
        after = traced(neck, [neck_name(config) for config in necks], specs, written=isinstance(choice, NeckList))
    # A backbone that joins others has cells of theirs, which its own features don't show.
    multiple = math.lcm(padding_multiple(specs, after, needs), contract.pad_multiple)
    with building("backbone", backbone):
        _check_patch(backbone, specs, size, multiple)
    if contract.fixed_size:
        multiple = _only_size(contract.own_size, backbone, size)
    for branch in (main, *composition.auxiliary.values()):
        with building("neck", type(choice).__name__):
            of = None if branch is main else main.decoder.name
            read = after if branch is main else after[composition.added_for_others(branch, necks) :]
            check_needs(
                branch.decoder.name, _needs(branch.decoder, composition.outputs), read, choice, necks=necks, main=of
            )
    lost = lost_levels(main.decoder.name, needs, after, choice, necks)
    warnings = [one for one in (lost, _idle_pooling(composition)) if one is not None]
    draft = Plan(necks, specs, after, multiple, size, frames, warnings=warnings)
    model = composition.wire(encoder, neck, widths, draft, PartSeeds(0))
    return Trial(replace(draft, unreached=_try(composition, model, draft, given)), model)


def _needs(decoder: Part, outputs: Outputs) -> Needs:
    needs = needs_of(decoder.target, decoder.given)
    if not outputs.per_pixel or "vector" not in needs.layouts:
        return needs
    # What reads vectors returns what it gets, in its layout: vectors have no pixels, and tokens none that a head finds.
    layouts = tuple(layout for layout in needs.layouts if layout not in ("vector", "tokens"))
    return replace(needs, layouts=layouts) if layouts else needs


def _idle_pooling(composition: Composition) -> str | None:
    given = composition.temporal
    if given is None:
        return None
    return idle_pooling(given.get("pooling", "mean"), given.get("n_timestamps"), given.get("subset_lengths"))


def _frames(contract: BackboneContract, backbone: str, given: int | None) -> int:
    """Return the number of frames of an image.

    Raises:
        UserError: the backbone takes another number than there is.
    """
    own = contract.frames
    if given is None or given == own:
        return own
    takes = "one frame" if own == 1 else f"{own} frames"
    there = "one" if given == 1 else f"{given} (data.num_frames={given})"
    ways = [f"backbone.num_frames={given}"] if contract.num_frames is not None else []
    alone = "temporal=mean" if own == 1 else "backbone.num_frames=1 temporal=mean"
    ways += [f"{alone}, which gives it one at a time"] if given > 1 else []
    raise UserError(
        f"The backbone {backbone} takes {takes} per image; the data has {there}. Write {', or '.join(ways)}."
    )


def _check_patch(backbone: str, specs: Sequence[FeatureSpec], size: tuple[int, int], multiple: int) -> None:
    """Refuse images of which no side holds a whole cell: they would be mostly padding.

    multiple: what images are padded to a multiple of, in pixels.
    """
    patch = min((spec.stride for spec in specs if spec.layout != "vector"), default=1)
    if patch > max(size):
        why = (
            f": with these necks and decoder, images are padded to multiples of {multiple}" if multiple > patch else ""
        )
        raise UserError(
            f"The patch of the backbone {backbone}, {float(patch):g} x {float(patch):g} pixels, is larger than the "
            f"image, {size[0]} x {size[1]}: what it sees would be padding. Write data.tile_px={multiple} or more{why}; "
            "or take a backbone with smaller patches (backbone.patch_size, where it has that)."
        )


def _only_size(own: tuple[int, int], backbone: str, size: tuple[int, int]) -> int:
    """Return the one size of a backbone that takes no other; smaller images are padded to it.

    Raises:
        UserError: images are larger, or the size is not a square.
    """
    if own[0] != own[1] or max(size) > own[0]:
        raise UserError(
            f"The backbone {backbone} takes images of {own[0]} x {own[1]} pixels only; here they are {size[0]} x "
            f"{size[1]}. Write data.tile_px={own[0]}, or use another backbone."
        )
    return own[0]


def _try(composition: Composition, model: EncoderDecoderModel, draft: Plan, given: Conditions) -> list[str]:
    """Return the parameters that the composition never uses.

    Raises:
        UserError: the parts don't fit together at the data's image size.
    """
    contract = contract_of(model.encoder)
    image = meta_image(contract.channels, draft.num_frames, draft.image_size)
    coordinates = meta_coordinates(contract, draft.num_frames, given.coordinates)
    padded = draft.image_size if composition.padding is None else _padded(draft.image_size, draft.pad_multiple)
    exact = all(not pixels % common_multiple(draft.backbone_features) for pixels in padded)
    seen: list[bool] = []  # whether the backbone has returned

    def look_at(_: nn.Module, __: object, features: object) -> None:
        check_declared(features, draft.backbone_features, padded, composition.backbone.name, exact=exact)
        seen.append(True)

    hooks = [
        model.register_forward_hook(lambda _, __, returned: _check_outputs(composition, returned)),
        model.decoder.register_forward_hook(
            lambda own, _, returned: _check_decoder(composition.main.decoder, own, returned)
        ),
        model.encoder.register_forward_hook(look_at),
    ]
    try:
        with building("decoder", composition.main.decoder.name):
            return unreached_parameters(model, image, **coordinates)
    except UserError:
        raise
    except FOREIGN_ERRORS as error:
        stopped = f"It stopped with: {first_line(error)}."
        if not seen:
            raise UserError(
                f"The backbone {composition.backbone.name} can't take images of {padded[0]} x {padded[1]} pixels. "
                f"{stopped} Write a larger data.tile_px, or use another backbone."
            ) from error
        choice, target = neck_choice(composition.necks), composition.main.decoder.target
        if not isinstance(error, RuntimeError) and is_ours(target):
            raise  # a fault of ours, which no other necks would fix
        advice = unread_advice(choice, declares=hasattr(target, "needs") or hasattr(target, "needs_given"))
        raise UserError(
            f"{composition.main.decoder.name} can't read these features: {listed(draft.decoder_features)}. {stopped} "
            f"{advice}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


def _padded(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    return size[0] + -size[0] % multiple, size[1] + -size[1] % multiple


def _check_decoder(part: Part, decoder: nn.Module, returned: object) -> None:
    """Refuse a decoder that returns another thing, or another width, than it says."""
    if not isinstance(returned, Tensor):
        raise UserError(f"The decoder {part.name} returns {type(returned).__name__}; a decoder returns one tensor.")
    width = returned.shape[-1 if returned.ndim == 3 else 1] if returned.ndim > 1 else None
    if not part.includes_head and width != decoder.out_channels:
        raise UserError(
            f"The decoder {part.name} says out_channels={decoder.out_channels} and returns {width} channels, in a "
            f"tensor of shape {tuple(returned.shape)}. Correct out_channels, or what it returns."
        )


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
                f"The {part.kind}{whose}, {part.name}, gives {given} outputs, and the task has "
                f"{composition.outputs.count}: give it that number, or change num_classes or num_outputs."
            )
