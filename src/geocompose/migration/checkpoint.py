"""A Lightning checkpoint that TerraTorch wrote: read without TerraTorch and without executing code."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.backbones.foreign.files import sha256, without_timm_module
from geocompose.errors import UserError

_SHOWN = 4
_ARCHIVE = b"PK\x03\x04"  # what torch.save's files begin with


@dataclass(frozen=True)
class TerraTorchCheckpoint:
    """A checkpoint's content.

    weights: the model's tensors under today's names. dropped: names of tensors that are not part of the model (losses,
    metrics). arguments: what the task was built with, {} where the file does not say. epoch, steps: how long it was
    trained; None where the file does not say.
    """

    path: Path
    sha256: str
    weights: dict[str, Tensor]
    dropped: list[str]
    arguments: dict[str, Any]
    epoch: int | None
    steps: int | None


def read_checkpoint(path: Path) -> TerraTorchCheckpoint:
    """Return what a checkpoint holds, on the CPU.

    Raises:
        UserError: there is no such file, it can't be read without executing code, or it holds no model's weights, or
        other things as such.
    """
    if not path.is_file():
        raise UserError(
            f"action.ckpt={path}: there is no such file. Give the Lightning checkpoint of a TerraTorch run."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"action.ckpt={path} {_why_unreadable(path, error)}") from error
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise UserError(f"action.ckpt={path} has no state_dict; it is not a Lightning checkpoint.")
    of_model = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
    if not of_model:
        raise UserError(
            f"action.ckpt={path} holds no weights under `model.`; it is not a checkpoint of a TerraTorch task."
        )
    foreign = [key for key, value in of_model.items() if not isinstance(value, Tensor)]
    if foreign:
        raise UserError(
            f"action.ckpt={path}: its state_dict holds no tensor as model.{foreign[0]}; the file is damaged."
        )
    spoilt = [key for key, value in of_model.items() if not torch.isfinite(value).all()]
    if spoilt:
        raise UserError(
            f"action.ckpt={path}: the tensor model.{spoilt[0]} holds NaN or infinite numbers"
            f"{f', as do {len(spoilt) - 1} more' if len(spoilt) > 1 else ''}, so that the model can't predict "
            "anything. Take the checkpoint of an earlier epoch."
        )
    arguments = content.get("hyper_parameters")
    return TerraTorchCheckpoint(
        path,
        sha256(path),
        without_timm_module(of_model),
        [key for key in state if not key.startswith("model.")],
        _without_cli(_plain(arguments)) if isinstance(arguments, Mapping) else {},
        content.get("epoch"),
        content.get("global_step"),
    )


def load_strictly(model: nn.Module, checkpoint: TerraTorchCheckpoint) -> None:
    """Load all weights of a checkpoint into a model, each under its name and with its shape.

    Raises:
        UserError: names or shapes differ; says which, and what to check.
    """
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in checkpoint.weights]
    extra = [name for name in checkpoint.weights if name not in wanted]
    shapes = [
        f"{name} ({list(value.shape)} in the file, {list(wanted[name].shape)} in the model)"
        for name, value in checkpoint.weights.items()
        if name in wanted and value.shape != wanted[name].shape
    ]
    found = [
        f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for names, what in (
            (missing, "weights of the model are not in the file"),
            (extra, "weights of the file are not in the model"),
            (shapes, "weights have another shape"),
        )
        if names
    ]
    if found:
        raise UserError(
            f"action.ckpt={checkpoint.path} does not fit the model that its configuration describes. "
            f"{'; '.join(found)}. Check that action.config and action.ckpt are of one run, and what could not be "
            "carried over; action.task says which task it was where the file does not."
        )
    model.load_state_dict(checkpoint.weights, strict=True)


def _why_unreadable(path: Path, error: Exception) -> str:
    """Return what is wrong with a file that torch can't read, and what to do."""
    if path.stat().st_size == 0:
        return "is empty. Copy it again from where it was written."
    with path.open("rb") as file:
        is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
    reason = str(error).partition("\n")[0].partition(". ")[0]
    if is_archive and not isinstance(error, pickle.UnpicklingError):
        return f"is cut short or damaged ({reason}). Copy it again from where it was written."
    return (
        f"can't be read ({type(error).__name__}: {reason}). Files that would execute code are not opened; where "
        "TerraTorch is installed, save it again with plain values in hyper_parameters."
    )


def _without_cli(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a task's arguments without what Lightning's command line notes beside them to build the task itself."""
    return {key: value for key, value in arguments.items() if key not in ("_instantiator", "_class_path")}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
