"""A run's model with its adapters merged: a bundle of a plain model, with all of its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from geocompose.configuration.weights import without_weights
from geocompose.cost.summary import summarize
from geocompose.errors import UserError, quiet, shortened
from geocompose.export.bundle import write_bundle
from geocompose.export.parity import MERGED, Parity, compared
from geocompose.export.program import reference_of
from geocompose.export.source import Source
from geocompose.export.tiles import tiles_of
from geocompose.from_config import trial_model
from geocompose.imagery.samples import Inputs
from geocompose.inference.plain_model import AS_IT_IS, method_of, plain_model
from geocompose.inference.trained import as_planned
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.frozen_weights import FrozenWeights
from geocompose.peft.methods import FullFineTuning
from geocompose.runs import Record, RecordedRun


def write_merged(source: Source, place: Path) -> Sequence[str]:
    """Write a bundle of the plain model to the folder `place`, and return lines for the terminal.

    It is taken wherever a bundle is. Its configuration has peft=none and no weights to start from, and it holds all
    weights, so that no base is needed. Its manifest says under `weights.merged` which run it was made of.

    Raises:
        UserError: the run's method can't be merged, or the merged model does not say the same.
    """
    config = _plain_config(source.run)
    model = plain_model(source.trained.model, method_of(source.run))
    plain = replace(source.trained, model=model, frozen=FrozenWeights({}))
    _check_names(plain.model, config, source)
    merged = replace(source, trained=plain)
    parity = compared(
        "merged model",
        lambda some: reference_of(source, some),
        lambda some: reference_of(merged, some),
        tiles_of(source),
        plain.target,
        MERGED,
    )
    run = replace(source.run, config=config, record=_record(source.run, plain.model, parity), base=None)
    # It is read back: the plain composition takes exactly these weights.
    return [parity.in_words(), *write_bundle(replace(merged, run=run), place)]


def _plain_config(run: RecordedRun) -> dict[str, Any]:
    """Return a run's configuration with peft=none, and without the weights that it started from."""
    none = FullFineTuning()
    target = f"{type(none).__module__}.{type(none).__qualname__}"
    return {
        **run.config,
        "backbone": without_weights(run.config["backbone"]),
        "peft": {"_target_": target, **asdict(none)},
    }


def _check_names(model: EncoderDecoderModel, config: Mapping[str, Any], source: Source) -> None:
    """Refuse a model that has, after merging, other tensors than the plain composition.

    Raises:
        UserError: names them.
    """
    recorded = source.run.record
    inputs, planned = Inputs.from_record(recorded.data), as_planned(config, recorded.model)
    with quiet():
        expected = trial_model(planned, inputs=inputs, target=source.trained.target).model.state_dict()
    own = model.state_dict()
    other = sorted(
        {name for name, value in own.items() if name not in expected or expected[name].shape != value.shape}
        | (expected.keys() - own.keys())
    )
    if other:
        raise UserError(
            f"{type(method_of(source.run)).__name__} can't be merged: it does more than change the layers of a plain "
            f"backbone ({shortened(other, 3)}). {AS_IT_IS}"
        )


def _record(run: RecordedRun, model: EncoderDecoderModel, parity: Parity) -> Record:
    """Return what a run of the plain composition would have recorded, and of which run it was made."""
    choices = {**run.record.choices, **({"peft": "none"} if "peft" in run.record.choices else {})}
    inputs = Inputs.from_record(run.record.data)
    cost = summarize(model, image_size=(inputs.tile_px, inputs.tile_px), num_frames=inputs.num_frames)
    origin = {
        "run_id": run.record.run_id,
        "weights_sha256": run.weights_sha256,
        "peft": run.config["peft"],
        "compared": parity.as_record(),
    }
    model_record = {**run.record.model, **cost.as_record()}
    return replace(run.record, choices=choices, model=model_record, weights={"merged": origin})
