"""A run's model with its adapters merged: a run's folder of a plain model, whole without anything else."""

import copy
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from geocompose.configuration.weights import without_weights
from geocompose.cost.summary import summarize
from geocompose.export.formats import Source
from geocompose.export.parity import MERGED, compared
from geocompose.export.placing import MANIFEST
from geocompose.export.program import reference_of
from geocompose.export.tiles import tiles_of
from geocompose.imagery.samples import Inputs
from geocompose.inference.trained import load_trained
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.peft.merging import merge
from geocompose.peft.methods import FullFineTuning
from geocompose.runs import Record, RecordedRun, RunFolder
from geocompose.runs.atomic import write_json, write_text, write_through
from geocompose.runs.environment import utc_now, versions
from geocompose.runs.fingerprint import hash_file


def plain_model(model: EncoderDecoderModel) -> EncoderDecoderModel:
    """Return a copy of a model whose backbone's adapters are merged into its layers.

    Raises:
        UserError: see `geocompose.peft.merging.merge`.
    """
    plain = copy.deepcopy(model)
    plain.encoder = merge(plain.encoder)
    return plain.eval()


def write_merged(source: Source, place: Path) -> Sequence[str]:
    """Write the folder of a run of the plain model to `place`, and return lines for the terminal.

    The folder is taken wherever a run's is. Its configuration has peft=none and no pretrained weights; its checkpoint
    has all weights. `manifest.json` says which run it was made of.

    Raises:
        UserError: the run's method can't be merged, or the merged model does not say the same.
    """
    run = source.run
    plain = plain_model(source.trained.model)
    folder = RunFolder(place)
    folder.checkpoints.mkdir(parents=True)
    state = {f"model.{name}": value for name, value in plain.state_dict().items()}
    write_through(folder.best, lambda file: torch.save({"state_dict": state}, file))
    if run.folder.code.is_dir():
        shutil.copytree(run.folder.code, folder.code)
    written = RecordedRun(folder, _config(run), _record(source, plain, hash_file(folder.best)))
    tiles = tiles_of(source)
    # Built anew by the written configuration: names and shapes are those of the plain composition.
    read_back = replace(source, run=written, trained=load_trained(written))
    parity = compared(
        "merged model",
        lambda some: reference_of(source, some),
        lambda some: reference_of(read_back, some),
        tiles,
        source.trained.target,
        MERGED,
    )
    write_text(folder.config, yaml.safe_dump(written.config, sort_keys=False))
    write_text(folder.overrides, "")
    written.record.write(folder.record)
    write_json(folder.path / MANIFEST, _manifest(source, folder, parity.as_record()))
    return [parity.in_words(), "take it where a run is taken, such as action=evaluate action.run=FOLDER"]


def _config(run: RecordedRun) -> dict[str, Any]:
    """Return a run's configuration with peft=none, and without the weights that it started from."""
    none = FullFineTuning()
    target = f"{type(none).__module__}.{type(none).__qualname__}"
    return {
        **run.config,
        "backbone": without_weights(run.config["backbone"]),
        "peft": {"_target_": target, **asdict(none)},
    }


def _record(source: Source, plain: EncoderDecoderModel, sha256: str) -> Record:
    """Return the record of the merged model: what the run's data was like, and where the weights are from."""
    recorded = source.run.record
    inputs = Inputs.from_record(recorded.data)
    size = (inputs.tile_px, inputs.tile_px)
    origin = _origin(source)
    identity = hashlib.sha256(f"merged {origin['run_id']} {origin['weights_sha256']}".encode()).hexdigest()[:10]
    summary = summarize(plain, image_size=size, num_frames=inputs.num_frames).as_record()
    return Record(
        run_id=identity,
        status="completed",
        finished=utc_now(),
        choices={**recorded.choices, **({"peft": "none"} if recorded.choices else {})},
        model={**recorded.model, **summary},
        training={"best_sha256": sha256, "finished": True},
        data=recorded.data,
        weights={"merged": origin},
        seeds=recorded.seeds,
        versions=versions(),
        code=recorded.code,
    )


def _origin(source: Source) -> dict[str, Any]:
    run = source.run
    return {
        "folder": str(run.folder.path.resolve()),
        "run_id": run.record.run_id,
        "weights_sha256": run.record.training.get("best_sha256") or hash_file(run.folder.best),
        "peft": run.record.choices.get("peft") or run.config["peft"].get("method"),
    }


def _manifest(source: Source, folder: RunFolder, parity: dict[str, Any]) -> dict[str, Any]:
    files = sorted(path for path in folder.path.rglob("*") if path.is_file())
    return {
        "format": "merged",
        "run": _origin(source),
        "metrics_of_the_run": source.run.record.metrics,
        "compared": parity,
        "files": {str(path.relative_to(folder.path)): hash_file(path) for path in files},
        "written": utc_now(),
    }
