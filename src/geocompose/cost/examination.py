"""One composition under examination: tried at two sizes on the meta device, and what it costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from geocompose.contracts.backbone import contract_of
from geocompose.contracts.meta import check_training_batch, meta_forward, meta_image
from geocompose.contracts.probing import meta_coordinates
from geocompose.cost.ledger import Flops
from geocompose.cost.training_memory import TrainingMemory, training_memory
from geocompose.data.preflight import Preview
from geocompose.from_config import trial_model
from geocompose.imagery.band_choice import check_rasters_read, chosen_bands
from geocompose.imagery.samples import Inputs, Target
from geocompose.models.freezing import thaw_of
from geocompose.models.output import ModelOutput
from geocompose.trial import Trial

Keeping = Callable[[Callable[..., torch.nn.Module]], Callable[..., torch.nn.Module]]


@dataclass(frozen=True)
class Found:
    """What is known of a composition that fits together.

    trial: its plan, and its model in shapes, in which only that requires gradients which learns. inputs: what the data
    gives it. gflops: per image, forward pass, 2 per multiply-add.
    """

    trial: Trial
    inputs: Inputs
    parameters: int
    trainable: int
    gflops: float
    memory: TrainingMemory


def examine(config: Mapping[str, Any], preview: Preview, keeping: Keeping | None = None) -> Found:
    """Return what a configuration composes for its data, tried at the data's tile size and at one that is not square.

    preview: of the data, with all the bands that there are. keeping: see `trial_model`.

    Raises:
        UserError: the parts don't fit together, or not to the data.
    """
    inputs = replace(preview.inputs, bands=tuple(chosen_bands(config, preview.inputs.bands)))
    check_rasters_read(config, inputs.bands, preview.values.more)
    target = preview.target.of_bands(inputs.bands)
    trial = trial_model(config, inputs=inputs, target=target, keeping=keeping)
    _stop_learning(trial, config["task"])
    return _measured(trial, inputs, target, config)


def _stop_learning(trial: Trial, task: Mapping[str, Any]) -> None:
    """Let only that require gradients which will: not what the composition never uses, nor what the task freezes."""
    model = trial.model
    if thaw_of(model.encoder) is not None:
        model.thaw_encoder()  # the phase that takes the most
    for name in trial.plan.unreached:
        model.get_parameter(name).requires_grad_(False)
    parts = {"backbone": model.freeze_encoder, "decoder": model.freeze_decoder, "head": model.freeze_head}
    for part, freeze in parts.items():
        if task.get(f"freeze_{part}"):
            freeze()


def _measured(trial: Trial, inputs: Inputs, target: Target, config: Mapping[str, Any]) -> Found:
    model, tile = trial.model, inputs.tile_px
    flops = Flops()
    _check_output(_output(trial, (tile, tile), inputs, flops), (tile, tile), target)
    other = (tile, max(1, 3 * tile // 4 - 1))  # one that no patch divides
    _check_output(_output(trial, other, inputs), other, target)
    batch_size = int(config["data"]["batch_size"])
    if batch_size == 1:
        check_training_batch(model, image_size=(tile, tile), num_frames=trial.plan.num_frames)
    memory = training_memory(model, _images(trial, (tile, tile), inputs, batch_size), target, config)
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    trainable = sum(size for size, learns in sizes if learns)
    return Found(trial, inputs, sum(size for size, _ in sizes), trainable, flops.total / 1e9, memory)


def _images(trial: Trial, size: tuple[int, int], inputs: Inputs, batch_size: int = 1) -> dict[str, Any]:
    """Return a batch in shapes, as the model's forward takes it."""
    contract, frames = contract_of(trial.model.encoder), trial.plan.num_frames
    one: dict[str, Tensor] = {
        "image": meta_image(contract.channels, frames, size),
        **meta_coordinates(contract, frames, inputs.coordinates),
    }
    return {name: value.expand(batch_size, *value.shape[1:]).clone() for name, value in one.items()}


def _output(trial: Trial, size: tuple[int, int], inputs: Inputs, listening: Flops | None = None) -> ModelOutput:
    return meta_forward(trial.model, listening=listening, **_images(trial, size, inputs))


def _check_output(returned: ModelOutput, size: tuple[int, int], target: Target) -> None:
    """Make sure that a model's outputs are as its task reads them."""
    outputs = () if target.num_outputs == 1 and not target.of_classes else (target.num_outputs,)
    shape = (1, *outputs, *(size if target.pixel_wise else ()))
    for output in (returned.output, *returned.auxiliary_heads.values()):
        assert tuple(output.shape) == shape, f"an output of shape {tuple(output.shape)} instead of {shape}"
