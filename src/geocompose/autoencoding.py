"""The composition of a masked autoencoder: its decoder fills in patches that its backbone was not shown."""

import math
from dataclasses import replace

import torch
from torch import nn

from geocompose.backbones.prithvi.vit import PrithviViT
from geocompose.contracts.backbone import contract_of
from geocompose.contracts.meta import meta_image, unreached_parameters
from geocompose.contracts.probing import backbone_specs, meta_coordinates
from geocompose.errors import UserError, building, quiet
from geocompose.imagery.coordinates import check_taken
from geocompose.models.prithvi_mae.decoder import MAEDecoder
from geocompose.models.prithvi_mae.model import MaskedAutoencoderModel
from geocompose.models.seeding import PartSeeds
from geocompose.parts import Part
from geocompose.peft.methods import FullFineTuning
from geocompose.planning import NeckList, neck_choice
from geocompose.trial import Conditions, Trial
from geocompose.wiring import Composition, Plan, refuse_head

KIND = "reconstruction"


def check_task(decoder: Part, task: str) -> None:
    """Refuse a masked autoencoder for another task than its own.

    Raises:
        UserError: says both ways out.
    """
    if task != KIND:
        with building("decoder", decoder.name):
            raise UserError(
                f"{decoder.name} predicts hidden patches of an image, for task={KIND}; the task is {task}. Write "
                f"task={KIND}, or another decoder (decoder=upernet). Weights of a masked autoencoder start other tasks "
                "by backbone.ckpt_path."
            )


def attempt(composition: Composition, given: Conditions) -> Trial:
    """Check the composition, and try it on the meta device: see `geocompose.trial.attempt`.

    Raises:
        UserError: the parts are not those of a masked autoencoder, or don't fit.
    """
    with quiet(), torch.device("meta"), torch.random.fork_rng(devices=[]):
        _check_parts(composition)
        encoder = composition.encoder(with_weights=False)
        with building("backbone", composition.backbone.name):
            _check_encoder(encoder, composition.backbone.name, given)
            assert isinstance(encoder, PrithviViT)
            contract = contract_of(encoder)
            check_taken(contract.coords_encoding, composition.backbone.name, given.coordinates or ())
        size = given.image_size or contract.own_size
        multiple = math.lcm(encoder.patch_size[1], encoder.patch_size[2])
        model = _wire(composition, encoder, multiple, PartSeeds(0))
        specs = backbone_specs(encoder, size)
        plan = Plan([], specs, specs, multiple, size, 1)
        with building("decoder", composition.main.decoder.name):
            coordinates = meta_coordinates(contract, 1, given.coordinates)
            unreached = unreached_parameters(model, meta_image(contract.channels, 1, size), **coordinates)
    return Trial(replace(plan, unreached=unreached), model)


def assemble(composition: Composition, plan: Plan) -> MaskedAutoencoderModel:
    """Build the parts with their weights, and wire them."""
    seeds = PartSeeds.drawn()
    with seeds.of("backbone"):
        encoder = composition.encoder(with_weights=True)
    return _wire(composition, encoder, plan.pad_multiple, seeds)


def _wire(composition: Composition, encoder: nn.Module, multiple: int, seeds: PartSeeds) -> MaskedAutoencoderModel:
    assert isinstance(encoder, PrithviViT)
    with building("backbone", composition.backbone.name):
        encoder.select_layers([encoder.depth - 1])
    with seeds.of("decoder"):
        decoder = composition.main.decoder.build(
            encoder_embed_dim=encoder.embed_dim,
            grid=encoder.grid,
            patch_size=encoder.patch_size,
            in_chans=encoder.in_chans,
            coords_encoding=encoder.coords_encoding,
            coords_scale_learn=_learns_scale(encoder),
        )
    assert isinstance(decoder, MAEDecoder)
    return MaskedAutoencoderModel(encoder, decoder, pad_multiple=multiple)


def _learns_scale(encoder: PrithviViT) -> bool:
    encodings = (encoder.temporal_embed_enc, encoder.location_embed_enc)
    return any(encoding is not None and any(True for _ in encoding.parameters()) for encoding in encodings)


def _check_parts(composition: Composition) -> None:
    refuse_head(composition.main)
    choice = neck_choice(composition.necks)
    for group, is_there, advice in (
        ("neck", isinstance(choice, NeckList) and bool(choice.necks), "neck=none"),
        ("auxiliary", bool(composition.auxiliary), "auxiliary=none"),
        ("temporal", composition.temporal is not None, "temporal=none"),
        ("peft", not isinstance(composition.peft, FullFineTuning), "peft=none"),
    ):
        if is_there:
            with building(group, composition.main.decoder.name):
                raise UserError(
                    f"A masked autoencoder ({composition.main.decoder.name}) is its backbone and its decoder alone, "
                    f"which learn as a whole: write {advice}."
                )


def _check_encoder(encoder: nn.Module, name: str, given: Conditions) -> None:
    """Refuse a backbone that can't leave patches out, or takes several frames."""
    if not isinstance(encoder, PrithviViT):
        raise UserError(
            f"decoder=prithvi_mae needs a backbone of Prithvi, whose blocks see the shown patches alone; {name} sees "
            f"whole images. Write backbone=prithvi, or another decoder for {name}: task={KIND} decoder=unet hides "
            "patches of the image that it gets."
        )
    frames = encoder.num_frames if given.num_frames is None else given.num_frames
    if (frames, encoder.num_frames, encoder.patch_size[0]) != (1, 1, 1):
        raise UserError(
            f"task={KIND} takes images of one frame so far; here they have {frames}, and the backbone {name} takes "
            f"{encoder.num_frames}. Write data.num_frames=1 and backbone.num_frames=1."
        )
