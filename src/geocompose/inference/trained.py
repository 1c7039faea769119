"""The model of a recorded run, with the weights and necks that it was recorded with."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from geocompose.configuration.own_code import OwnCode, own_code
from geocompose.configuration.weights import without_weights
from geocompose.errors import UserError, quiet, shortened
from geocompose.from_config import build_model, seed_weights
from geocompose.imagery.samples import Inputs, Target
from geocompose.inference.base_files import OTHER_BASE, with_base_files
from geocompose.inference.bundle_weights import bundle_content
from geocompose.inference.bundled_start import with_plain_files
from geocompose.inference.checkpoint import read_best
from geocompose.inference.device import best_device
from geocompose.inference.products import products_of
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.frozen_weights import BASE, PREFIX, FrozenWeights, put_back
from geocompose.runs import RecordedRun

log = logging.getLogger("geocompose")

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class TrainedModel:
    """A recorded run's model with its best weights, in evaluation mode, and what its data was like.

    config: the run's configuration. data: what record.json says of the data. target: what its labels were. frozen:
    those of the weights that did not learn, and can be made again from where the run got them.
    """

    model: EncoderDecoderModel
    config: dict[str, Any]
    data: dict[str, Any]
    target: Target
    frozen: FrozenWeights

    def on_best_device(self, precision: Precision = "fp32") -> Callable[..., Tensor]:
        """Return the model as a function on the best device there is: images (and coordinates) to its output.

        precision: `bf16` computes products and convolutions in bfloat16 (torch.autocast), `fp32` all in float32.
        """
        device = best_device()
        model = self.model.to(device)

        def output(images: Tensor, **coordinates: Tensor) -> Tensor:
            half = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
            with torch.inference_mode(), products_of(self.config), half:
                beside = {name: value.to(device) for name, value in coordinates.items()}
                return model(images.to(device, non_blocking=True), **beside).output

        return output


def load_trained(run: RecordedRun) -> TrainedModel:
    """Return the best model of a completed run.

    Weights come from the run alone; those that were frozen, and are not in its checkpoint, from where the run got them.

    Raises:
        UserError: the checkpoint is not this configuration's, or what was frozen can't be made again.
    """
    data = run.record.data
    _say_changed_code(run)
    target = Target.from_record(data.get("target"))
    content = None if run.bundle is not None else read_best(run.folder.best, run.record.training.get("best_sha256"))
    config = with_plain_weights({**run.config, "backbone": _weights_of(run, with_base=_left_out(run, content))})
    if _left_out(run, content):
        seed_weights(config["seed"])  # what was frozen comes from where the run got it: its weights, or its seed
    with quiet(logging.WARNING):  # a trained model gets its weights below
        built = build_model(as_planned(config, run.record.model), inputs=Inputs.from_record(data), target=target)
    if content is None:
        assert run.bundle is not None
        content = bundle_content(run.bundle, built.model)
    place = run.folder.best if run.bundle is None else run.bundle.path
    state = put_back(content, built.model, place, None if run.bundle is None else OTHER_BASE)
    try:
        built.model.load_state_dict(
            {key.removeprefix(PREFIX): value for key, value in state["state_dict"].items() if key.startswith(PREFIX)}
        )
    except (RuntimeError, AttributeError) as error:  # AttributeError: names that are not texts
        what = "the run in its folder" if run.bundle is None else "the configuration in it"
        raise UserError(
            f"{place} is not of {what}: its weights have other names or shapes. "
            + (
                "Put the run's own back, or compute the run again with rerun=true."
                if run.bundle is None
                else "It was changed. Ask for it again."
            )
        ) from error
    frozen = _frozen(built.model, content)
    return TrainedModel(built.model.eval(), dict(run.config), data, target, frozen)


def with_plain_weights(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in which each bundle that the backbone starts from is a file of plain weights.

    Raises:
        UserError: see `with_plain_files`.
    """
    backbone = with_plain_files(config["backbone"], lambda run: load_trained(run).model)
    return {**config, "backbone": backbone}


def _left_out(run: RecordedRun, content: Mapping[str, Any] | None) -> bool:
    """Return whether frozen weights are not in the file, and have to come from elsewhere."""
    return BASE in content if content is not None else run.bundle is not None and run.bundle.manifest.base is not None


def _weights_of(run: RecordedRun, *, with_base: bool) -> dict[str, Any]:
    """Return the backbone's configuration, with the weights that it needs beside those of the run.

    Raises:
        UserError: a base was given that the run doesn't need, or it is not there, or another one.
    """
    if with_base:
        return with_base_files(run)
    if run.base is not None:
        raise UserError(
            f"action.base={run.base} would change nothing: {run.folder.path} holds all weights of its model. Leave it "
            "out."
        )
    return without_weights(run.config["backbone"])


def _frozen(model: EncoderDecoderModel, content: Mapping[str, Any]) -> FrozenWeights:
    """Return the weights that a checkpoint left out, or could have left out."""
    state = content["state_dict"]
    if BASE in content:
        left_out = {name: value for name, value in model.state_dict().items() if PREFIX + name not in state}
        return FrozenWeights(left_out, getattr(torch, content[BASE]["dtype"]))
    dtype = next((value.dtype for value in state.values() if value.is_floating_point()), torch.float32)
    return FrozenWeights(FrozenWeights.of(model).tensors, dtype)


def _say_changed_code(run: RecordedRun) -> None:
    """Say where code of the user's own that a run names is not what it was computed with."""
    kept = run.folder.code
    if not kept.is_dir():  # nothing of the user's own, or recorded before texts were kept
        return
    changes = (own_code(run.config, ("action", "logger")) or OwnCode()).changes_since(kept)
    if changes:
        log.warning(
            "Your own code has changed since this run was computed: %s. The text of then is in %s.",
            shortened(changes, 4), kept,
        )  # fmt: skip


def as_planned(config: Mapping[str, Any], model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a run's configuration with the necks that were planned for it: later versions may plan others.

    model: what record.json says of the model; records of before the necks were noted are planned anew.
    """
    necks = model.get("necks")
    return config if necks is None else {**config, "neck": {"_target_": "geocompose.planning.NeckList", "necks": necks}}
