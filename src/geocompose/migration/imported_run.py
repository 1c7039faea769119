"""A run's folder for a model that was trained elsewhere: the same files as a fitted run's, for evaluate and predict."""

import copy
import io
import json
import logging
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from geocompose.cost.summary import summarize
from geocompose.data.preflight import data_source
from geocompose.errors import UserError, quiet
from geocompose.from_config import build_model
from geocompose.imagery.samples import Inputs, Target
from geocompose.migration.checkpoint import TerraTorchCheckpoint, load_strictly
from geocompose.migration.translation import Translation
from geocompose.migration.trying.composition import UNKNOWN, composed, target_of
from geocompose.migration.trying.settling import in_terms_of_the_file, settled_trial
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.runs import Record, RunFolder, folder_name, load_rules, run_id
from geocompose.runs.atomic import write_through
from geocompose.runs.environment import git_diff, git_state, hardware, source_folder, versions
from geocompose.runs.fingerprint import fingerprint, hash_file

log = logging.getLogger("geocompose")


@dataclass(frozen=True)
class LoadedModel:
    """A checkpoint's model, and the configuration and target that it was built from."""

    model: EncoderDecoderModel
    config: dict[str, Any]
    target: Target


def load_model(
    to: Translation, conf_dir: Path, study: str, checkpoint: TerraTorchCheckpoint, *, is_settled: bool
) -> LoadedModel:
    """Return the model of a translation with a checkpoint's weights.

    is_settled: whether its necks were settled already, by trying the experiment of a YAML.

    Raises:
        UserError: what could not be carried over changes the model, bands or statistics are not known, or the weights
            don't fit.
    """
    _refuse_another_model(to)
    if to.bands is None:
        raise UserError("Neither action.config nor action.ckpt names the model's bands; give 'action.bands=[...]'.")
    if to.kind == "reconstruction":
        raise UserError(
            "Checkpoints of ReconstructionTask are not imported: give action.config alone, and take the weights of its "
            "backbone as backbone.ckpt_path."
        )
    if to.mean is None or to.std is None:
        raise UserError(
            "Neither action.config nor action.ckpt says what images were normalised with; give 'action.mean=[...]' and "
            "'action.std=[...]', one number per band."
        )
    if not len(to.mean) == len(to.std) == len(to.bands):
        raise UserError(
            f"There are {len(to.bands)} bands, {len(to.mean)} means and {len(to.std)} deviations; give one each."
        )
    assert to.tile_px is not None
    if not is_settled:
        with in_terms_of_the_file(to), quiet():
            settled_trial(to, conf_dir, study)
        _refuse_another_model(to)
    config = composed(_with_own_weights(to), conf_dir, study)
    target = target_of(to, config, to.bands)
    with quiet(logging.WARNING):  # a trained model's random start means nothing to its user
        built = build_model(config, inputs=Inputs(tuple(to.bands), to.tile_px, to.num_frames), target=target)
    load_strictly(built.model, checkpoint)
    return LoadedModel(built.model, config, target)


def write_run(
    loaded: LoadedModel,
    to: Translation,
    checkpoint: TerraTorchCheckpoint,
    outputs: Path,
    conf_dir: Path,
    *,
    origin: Mapping[str, Any],
    overrides: list[str],
    overwrite: bool,
) -> RunFolder:
    """Write the folder of a loaded model's run and return it; one that is there already is left as it is.

    origin: what the record says of the import. overrides: the command line's. overwrite: write it anew.

    Raises:
        UserError: the folder can't be written.
    """
    assert to.tile_px is not None
    config = loaded.config
    # The checkpoint counts: a run that is trained here by the same configuration is another one.
    inputs = {
        "data": _fingerprint(config["data"]),
        "imported": checkpoint.sha256,
        "normalization": json.dumps([to.mean, to.std]),
    }
    identity = run_id(config, inputs, load_rules(conf_dir))
    name = folder_name(to.choices["backbone"], to.choices["decoder"], to.choices["peft"], identity)
    folder = RunFolder(outputs / config["study"] / name)
    if folder.status() == "completed" and not overwrite:
        log.info("This run is imported already; action.overwrite=true writes it anew.")
        return folder
    record = Record(
        run_id=identity,
        command=shlex.join(["python", *sys.argv]),
        seeds={"seed": config["seed"], "data.seed": config["data"].get("seed", 0)},
        versions=versions(),
        git=git_state(source_folder()),
        hardware=hardware(),
    )
    if inputs["data"] != UNKNOWN:
        record.data["fingerprint"] = inputs["data"]
    record.data |= _described(loaded, to)
    record.weights = {"sha256": checkpoint.sha256, "source": str(checkpoint.path), "imported": dict(origin)}
    record.model = summarize(loaded.model, image_size=(to.tile_px, to.tile_px)).as_record()
    record.training = {"epochs": checkpoint.epoch, "steps": checkpoint.steps, "best_epoch": None, "finished": True}
    state = {f"model.{name}": value for name, value in loaded.model.state_dict().items()}
    with folder.lock():
        folder.begin(
            record,
            config=yaml.safe_dump(config, sort_keys=False),
            overrides=overrides,
            code_diff=git_diff(source_folder()),
        )
        content = {"state_dict": state, "epoch": checkpoint.epoch, "global_step": checkpoint.steps}
        whole = io.BytesIO()  # torch hides what the disk refuses
        torch.save(content, whole)
        write_through(folder.best, lambda file: file.write(whole.getbuffer()))
        record.training["best_sha256"] = hash_file(folder.best)
        folder.finish(record)
    return folder


def _refuse_another_model(to: Translation) -> None:
    if changed := to.ledger.model_changes:
        raise UserError(
            f"The weights can't be taken over, because the model would be another one: {'; '.join(changed)}."
        )


def _with_own_weights(to: Translation) -> Translation:
    """Return the translation without pretrained weights, in whose place the checkpoint's come."""
    own = copy.copy(to)
    own.values = copy.deepcopy(to.values)
    for key in ("pretrained", "ckpt_path"):
        own.values.get("backbone", {}).pop(key, None)
    return own


def _described(loaded: LoadedModel, to: Translation) -> dict[str, Any]:
    """Return what a record says of data, as far as a model needs it."""
    assert to.mean is not None
    assert to.std is not None
    data, target = loaded.config["data"], loaded.target
    numbers = {
        key: None if value is None else list(value) for key, value in (("mean", target.mean), ("std", target.std))
    }
    return {
        "name": data["name"],
        "bands": to.bands,
        "target": {"kind": target.kind, "names": list(target.names), "ignore_index": target.ignore_index, **numbers},
        "tile_px": to.tile_px,
        "num_frames": to.num_frames,
        "normalization": {"normalize": data["normalize"], "source": "given", "mean": to.mean, "std": to.std},
        "splits": {},
    }


def _fingerprint(data: Mapping[str, Any]) -> str:
    """Return the fingerprint of the data's files, or UNKNOWN where they are not here."""
    root = Path(str(data["root"])).expanduser()
    if next(root.glob(str(data["images"])), None) is None:
        return UNKNOWN
    try:
        source = data_source(data)
        return UNKNOWN if source is None else fingerprint(source.input_files, root)
    except UserError as error:
        log.warning("The data of the imported run can't be read, so that its record does not name it: %s", error)
        return UNKNOWN
