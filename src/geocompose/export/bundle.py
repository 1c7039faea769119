"""A bundle: what a run has learned, and all that says how to use it, in a folder that is sent to a colleague."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save
from torch import Tensor

from geocompose.configuration.weights import loads_weights, weight_files
from geocompose.errors import UserError, counted, quiet, shortened
from geocompose.export.source import Source
from geocompose.inference.base_files import with_base_files
from geocompose.inference.trained import TrainedModel, load_trained
from geocompose.models.frozen_weights import FrozenWeights
from geocompose.peft.saved import SavedAdapter
from geocompose.runs import RunFolder
from geocompose.runs.atomic import write_json
from geocompose.runs.bundle import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    CONFIG,
    KIND,
    MANIFEST,
    SCHEMA,
    WEIGHTS,
    hash_weights,
    is_code,
    read_bundle,
)
from geocompose.runs.environment import utc_now, versions
from geocompose.runs.fingerprint import hash_file

log = logging.getLogger("geocompose")


def write_bundle(source: Source, place: Path) -> Sequence[str]:
    """Write a run's bundle to the folder `place`, read it back, and return what to tell of it.

    It holds the weights that learned and batch-norm statistics; an adapter of PEFT in PEFT's own format. Weights that
    were frozen are left out, and their sha256 is in the manifest.

    Raises:
        UserError: the base that is left out can't be made again here, so that the bundle could not be read.
    """
    trained = source.trained
    adapter = SavedAdapter.of(trained.model.encoder)
    of_adapter = set() if adapter is None else {f"encoder.{name}" for names in adapter.names.values() for name in names}
    base = _base(source, of_adapter)
    state = trained.model.state_dict()
    rest = {name: value for name, value in state.items() if name not in of_adapter and name not in base.tensors}
    files: dict[str, bytes] = {
        CONFIG: yaml.safe_dump(source.run.config, sort_keys=False, allow_unicode=True).encode(),
        WEIGHTS: _safetensors(rest),
        **_code(source.run.folder),
    }
    if adapter is not None:
        files |= {ADAPTER_CONFIG: adapter.config().encode(), ADAPTER_WEIGHTS: _safetensors(adapter.tensors)}
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        with open(place / name, "xb") as file:
            file.write(content)
    sizes = {name: len(content) for name, content in files.items()}
    del files
    write_json(place / MANIFEST, _manifest(source, base, adapter, place, sizes))
    _read_back(source, place)
    return _told(adapter, base, rest)


def _base(source: Source, of_adapter: set[str]) -> FrozenWeights:
    """Return the weights that are left out: those that were frozen, and that can be had again."""
    frozen = source.trained.frozen
    gone = [path for path in weight_files(source.run.config["backbone"]).values() if not Path(path).exists()]
    if gone and source.run.base is None:
        log.info("The bundle holds the frozen weights too: %s, where they are from, is not here.", shortened(gone, 3))
        return FrozenWeights({})
    tensors = {name: value for name, value in frozen.tensors.items() if name not in of_adapter}
    return replace(frozen, tensors=tensors)


def _safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    # Tensors that share memory are written one by one.
    return save({name: value.detach().clone().contiguous() for name, value in tensors.items()}, {"format": "pt"})


def _code(folder: RunFolder) -> dict[str, bytes]:
    """Return the text of the user's own modules that a run keeps.

    Raises:
        UserError: a file has a name that no module has.
    """
    paths = sorted(path for path in folder.code.rglob("*") if path.is_file()) if folder.code.is_dir() else []
    texts = {path.relative_to(folder.path).as_posix(): path.read_bytes() for path in paths}
    if other := [name for name in texts if not is_code(name)]:
        raise UserError(f"{folder.path} holds {shortened(other, 3)}, which is not a Python module. Remove it.")
    return texts


def _manifest(
    source: Source, base: FrozenWeights, adapter: SavedAdapter | None, place: Path, sizes: Mapping[str, int]
) -> dict[str, Any]:
    record, config = source.run.record, source.run.config
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "geocompose": versions()["geocompose"],
        "written": utc_now(),
        "run_id": record.run_id,
        "base": _told_base(source, base) if base.tensors else None,
        "adapter": None if adapter is None else {"method": adapter.method, "part": "encoder"},
        "choices": {group: None if option is None else str(option) for group, option in record.choices.items()},
        "data": record.data,
        "model": record.model,
        "weights": record.weights,
        "metrics": record.metrics,
        "seeds": {"seed": config["seed"], **record.seeds},
        "versions": record.versions,
        "files": {name: {"sha256": hash_file(place / name), "bytes": size} for name, size in sizes.items()},
    }


def _told_base(source: Source, base: FrozenWeights) -> dict[str, Any]:
    run = source.run
    files = weight_files(with_base_files(run))
    random = not loads_weights(run.config["backbone"])
    return {
        **base.told,
        "origin": "file" if files else "random" if random else "published",
        "seed": run.config["seed"],
        "files": {key: hash_weights(Path(path)) for key, path in files.items()},
    }


def _read_back(source: Source, place: Path) -> None:
    """Refuse a bundle that does not give the model back.

    Raises:
        UserError: says what can't be had.
    """
    run = replace(source.run, folder=RunFolder(place), bundle=read_bundle(place))
    with quiet():
        back: TrainedModel = load_trained(run)
    first, second = (model.state_dict() for model in (source.trained.model, back.model))
    other = [name for name, value in first.items() if not torch.equal(value, second[name])]
    assert not other, f"the bundle gives other weights back: {shortened(other, 4)}"


def _told(adapter: SavedAdapter | None, base: FrozenWeights, rest: Mapping[str, Tensor]) -> list[str]:
    def size(tensors: Mapping[str, Tensor]) -> str:
        return f"{counted(len(tensors), 'tensor')} ({sum(value.numel() for value in tensors.values()):,} numbers)"

    lines = [f"weights: {size(rest)}"]
    if adapter is not None:
        lines.append(f"adapter {adapter.method}, in PEFT's format: {size(adapter.tensors)}")
    if base.tensors:
        lines.append(f"left out, and needed to use it: the frozen base, {size(base.tensors)}, by its sha256")
    return lines
