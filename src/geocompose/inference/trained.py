"""The model of a recorded run, with the weights and necks that it was recorded with."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from geocompose.configuration.own_code import OwnCode, own_code
from geocompose.configuration.weights import without_weights
from geocompose.errors import UserError, quiet, shortened
from geocompose.from_config import build_model, seed_weights
from geocompose.imagery.samples import Inputs, Target
from geocompose.inference.checkpoint import read_best
from geocompose.inference.device import best_device
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.frozen_weights import BASE, put_back
from geocompose.runs import RecordedRun

log = logging.getLogger("geocompose")


@dataclass(frozen=True)
class TrainedModel:
    """A recorded run's model with its best weights, in evaluation mode, and what its data was like.

    config: the run's configuration. data: what record.json says of the data. target: what its labels were.
    """

    model: EncoderDecoderModel
    config: dict[str, Any]
    data: dict[str, Any]
    target: Target

    def on_best_device(self) -> Callable[..., Tensor]:
        """Return the model as a function on the best device there is: images (and coordinates) to its output."""
        device = best_device()
        model = self.model.to(device)

        def output(images: Tensor, **coordinates: Tensor) -> Tensor:
            with torch.inference_mode():
                beside = {name: value.to(device) for name, value in coordinates.items()}
                return model(images.to(device), **beside).output

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
    content = read_best(run.folder.best, run.record.training.get("best_sha256"))
    config = dict(run.config)
    if BASE in content:
        seed_weights(config["seed"])  # what was frozen comes from where the run got it: its weights, or its seed
    else:
        config["backbone"] = without_weights(config["backbone"])
    with quiet(logging.WARNING):  # a trained model gets its weights below
        built = build_model(_as_planned(config, run.record.model), inputs=Inputs.from_record(data), target=target)
    state = put_back(content, built.model, run.folder.best)["state_dict"]
    try:
        built.model.load_state_dict(
            {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
        )
    except (RuntimeError, AttributeError) as error:  # AttributeError: names that are not texts
        raise UserError(
            f"{run.folder.best} is not of the run in its folder: its weights have other names or shapes. Put the run's "
            "own back, or compute the run again with rerun=true."
        ) from error
    return TrainedModel(built.model.eval(), config, data, target)


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


def _as_planned(config: Mapping[str, Any], model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a run's configuration with the necks that were planned for it: later versions may plan others.

    model: what record.json says of the model; records of before the necks were noted are planned anew.
    """
    necks = model.get("necks")
    return config if necks is None else {**config, "neck": {"_target_": "geocompose.planning.NeckList", "necks": necks}}
