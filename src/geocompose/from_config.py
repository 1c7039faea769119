"""From a configuration to data and models."""

import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from geocompose.backbones.temporal.backbone import TemporalBackbone
from geocompose.catalog.origin import is_ours
from geocompose.configuration.instantiation import arguments_when_imported, instantiate, located
from geocompose.configuration.signatures import arguments as arguments_of
from geocompose.configuration.signatures import class_constant
from geocompose.contracts.backbone import BackboneContract, contract_of
from geocompose.data.declaration import DataSource
from geocompose.errors import UserError, building, quiet
from geocompose.factory import EncoderDecoderFactory
from geocompose.imagery.agreement import consents, with_consent
from geocompose.imagery.band_choice import chosen_bands
from geocompose.imagery.coordinates import left_off
from geocompose.imagery.missing_frames import masks_frames
from geocompose.imagery.samples import LABELS, Inputs, Target
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.prithvi_mae.model import MaskedAutoencoderModel
from geocompose.tasks.masking import Masking
from geocompose.trial import Trial
from geocompose.wiring import Plan

if TYPE_CHECKING:
    from geocompose.data.module import SceneData
    from geocompose.data.statistics import Statistics

log = logging.getLogger("geocompose")


def build_data(config: Mapping[str, Any]) -> "SceneData":
    """Return the data module, with the bands chosen that data and backbone agree on.

    Raises:
        UserError: `data.bands` and `backbone.bands` differ, or the data lacks a band.
    """
    declared = instantiate(config["data"])
    if not isinstance(declared, DataSource):  # a data module of your own
        own: SceneData = declared
        own.use_bands(chosen_bands(config, own.band_names))
        return own
    return opened_data(declared, declared.collection.chosen(partial(chosen_bands, config)))


def opened_data(source: DataSource, bands: Sequence[str], scanned: "Statistics | None" = None) -> "SceneData":
    """Return the data module of a declared data set; scanned: see `SceneData`."""
    from geocompose.data.module import SceneData  # loads Lightning, which no model needs

    return SceneData(source, bands, scanned)


def seed_weights(seed: int) -> None:
    """Seed everything that draws random numbers, before a model is built."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that still draw from numpy's global state
    torch.manual_seed(seed)


@dataclass(frozen=True)
class BuiltModel:
    """A model, and what the factory planned for it."""

    model: EncoderDecoderModel
    plan: Plan


def build_model(config: Mapping[str, Any], *, inputs: Inputs, target: Target) -> BuiltModel:
    """Return the model that a configuration composes for such samples.

    target: what the data's labels are.

    Raises:
        UserError: the task is not for such labels, or the parts don't fit together or to the data.
    """
    masked = masks_frames(config)
    factory, arguments = _composed(config, inputs, target, None)
    model = factory.build_model(**arguments)
    if masked:
        _mask_frames(model)
    _hide_as_configured(model, config, inputs)
    assert factory.plan is not None
    contract = contract_of(model.encoder)
    _check_channels(config, contract, inputs.bands)
    _tell_weights(contract)
    off = left_off(contract.coordinates, inputs.coordinates)
    if off is not None:
        log.info(off)
    return BuiltModel(model, factory.plan)


def _mask_frames(model: nn.Module) -> None:
    """Have a model pass over frames that are NaN."""
    for module in model.modules():
        if isinstance(module, TemporalBackbone):
            module.masks_frames = True


def _hide_as_configured(model: EncoderDecoderModel, config: Mapping[str, Any], inputs: Inputs) -> None:
    """Have a masked autoencoder hide what its task says.

    Raises:
        UserError: the task hides all patches of the data's images, or none; or images have several frames.
    """
    if "mask_ratio" not in config["task"]:
        return
    masking = Masking.of_task(config["task"])
    masking.check(model, inputs.tile_px)
    if inputs.num_frames > 1:
        raise UserError(
            f"task=reconstruction takes images of one frame so far; here they have {inputs.num_frames} "
            "(data.num_frames). Write data.num_frames=1."
        )
    if isinstance(model, MaskedAutoencoderModel):
        model.mask_ratio = masking.ratio


def _tell_weights(contract: BackboneContract) -> None:
    """Say in a line where the backbone's weights came from, if they are not random."""
    if contract.weights is not None:
        sources = [str(value) for key, value in contract.weights.items() if key.rpartition(".")[2] == "source"]
        log.info("The backbone's weights were loaded from %s.", ", ".join(sources))


def trial_model(
    config: Mapping[str, Any],
    *,
    inputs: Inputs,
    target: Target,
    image_size: tuple[int, int] | None = None,
    keeping: Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]] | None = None,
) -> Trial:
    """Return what `build_model` would plan, and its model in shapes alone: nothing is read, downloaded or allocated.

    image_size: rows and columns of an image; a sample's where null. keeping: takes the backbone's constructor and
        returns the one to call, for callers that try a backbone many times.

    Raises:
        UserError: see `build_model`.
    """
    factory, arguments = _composed(config, inputs, target, image_size)
    if keeping is not None:
        arguments["backbone"] = keeping(arguments["backbone"])
    trial = factory.trial(**arguments)
    _hide_as_configured(trial.model, config, inputs)
    _check_channels(config, contract_of(trial.model.encoder), inputs.bands)
    return trial


def backbone_contract(config: Mapping[str, Any], bands: Sequence[str]) -> BackboneContract:
    """Return what one of our backbones says of itself when it is built for these bands; nothing is read or allocated.

    Raises:
        UserError: the backbone can't be built.
    """
    # A band that the weights lack is for the caller to judge, with all else that differs.
    backbone = with_consent({**config["backbone"], "bands": list(bands)}, consented=True)
    with quiet(), torch.device("meta"), torch.random.fork_rng(devices=[]), building("backbone", backbone["_target_"]):
        return contract_of(instantiate(backbone)())


def _composed(
    config: Mapping[str, Any], inputs: Inputs, target: Target, image_size: tuple[int, int] | None
) -> tuple[EncoderDecoderFactory, dict[str, Any]]:
    """Return the factory for such samples, and the arguments with which it builds what a configuration composes."""
    kind = task_kind(config["task"]["_target_"])
    if kind != target.kind:
        raise UserError(
            f"task={kind} needs {LABELS.get(kind, 'labels of that kind')}, but this data has {LABELS[target.kind]}. "
            f"Write task={target.kind}, or choose data with such labels."
        )
    size = image_size or (inputs.tile_px, inputs.tile_px)
    backbone = with_consent(_told_bands(config["backbone"], inputs.bands), consented="band" in consents(config))
    if "img_size" in backbone and backbone["img_size"] is None:
        backbone["img_size"] = inputs.tile_px + -inputs.tile_px % 32  # as it will be padded, for nearly all
    factory = EncoderDecoderFactory(size, num_frames=inputs.num_frames, coordinates=inputs.coordinates)
    return factory, {
        "task": kind,
        "backbone": instantiate(backbone),
        # Runs recorded before there was this group have none.
        "backbone_kwargs": instantiate(config["temporal"]).backbone_arguments if "temporal" in config else None,
        "necks": instantiate(config["neck"]),
        "decoder": instantiate(config["decoder"]),
        "head": instantiate(config["head"]),
        "aux_decoders": instantiate(config["auxiliary"]),
        "peft_config": instantiate(config["peft"]),
        "num_classes": target.num_outputs if target.of_classes else None,
        "num_outputs": _num_outputs(target, inputs),
    }


def _num_outputs(target: Target, inputs: Inputs) -> int | None:
    """Return how many numbers a model gives for a pixel or an image; None where it gives classes."""
    return None if target.of_classes else target.of_bands(inputs.bands).num_outputs


def _told_bands(backbone: Mapping[str, Any], bands: Sequence[str]) -> dict[str, Any]:
    """Return a backbone's node with the data's bands: names, or their number for a class of your own that takes it."""
    target = str(backbone["_target_"])
    known: Collection[str] | None = arguments_of(target)
    if known is None:  # source doesn't tell; it is imported now anyway
        known = arguments_when_imported(target)
    if known is not None and "bands" not in known:
        number = next((name for name in ("in_chans", "in_channels", "num_channels") if name in known), None)
        return dict(backbone) if number is None else {number: len(bands), **backbone}
    return {**backbone, "bands": list(bands)} if known is not None else dict(backbone)


def _check_channels(config: Mapping[str, Any], contract: BackboneContract, bands: Sequence[str]) -> None:
    """Refuse a class of your own that takes another number of channels than the data has; ours were told.

    Raises:
        UserError: says both.
    """
    if is_ours(config["backbone"]["_target_"]):
        return
    if contract.channels != len(bands):
        with building("backbone", contract.name):
            raise UserError(
                f"The backbone {contract.name} takes {contract.channels} channels, but the data has {len(bands)} "
                f"bands: {', '.join(bands)}. Let its constructor have an argument in_chans, which is told their "
                "number, or choose data.bands."
            )


def task_kind(target: str) -> str:
    """Return the kind of task, such as `segmentation`, that a task's class declares as `kind`.

    It is read from the source where it stands there: so the training loop's libraries need not be loaded to build a
    model.
    """
    declared = class_constant(target, "kind")
    if isinstance(declared, str):
        return declared
    return str(located(target).kind)
