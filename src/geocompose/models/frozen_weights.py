"""Weights that don't learn, left out of checkpoints: a sha256 says which they are, and their base gives them back.

A checkpoint holds the model's tensors under `state_dict` (Lightning's name) with the prefix `model.`. One that left
frozen weights out says so under `base`: {sha256, dtype, parts}.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geocompose.errors import UserError
from geocompose.models.encoder_decoder import EncoderDecoderModel

BASE = "base"
PREFIX = "model."
# Where Lightning keeps weights: with averaged weights, those that learn stand beside the average.
_STATES = ("state_dict", "current_model_state")


@dataclass(frozen=True)
class FrozenWeights:
    """The parameters of the parts that a method or the task froze, but for adapters: by their names in the model.

    kept_as: the precision in which they were frozen; None is their own.
    """

    tensors: Mapping[str, Tensor]
    kept_as: torch.dtype | None = None

    @classmethod
    def of(cls, model: EncoderDecoderModel) -> "FrozenWeights":
        """Return a model's; none where no part is frozen.

        Blocks that a composition never reaches don't learn either, but nothing says that they can be made again.
        """
        frozen = tuple(f"{part}." for part in model.frozen_parts)
        state = model.state_dict(keep_vars=True)
        return cls(
            {
                name: value
                for name, value in state.items()
                if name.startswith(frozen) and isinstance(value, nn.Parameter) and not value.requires_grad
            }
            if frozen
            else {}
        )

    @cached_property
    def told(self) -> dict[str, object]:
        """What a checkpoint says of them. Taken when the first one is written, in the precision of the training."""
        own = next((value.dtype for value in self.tensors.values() if value.is_floating_point()), torch.float32)
        dtype = self.kept_as or own
        parts = sorted({name.partition(".")[0] for name in self.tensors})
        return {
            "sha256": sha256_of(self.tensors, dtype), "dtype": str(dtype).removeprefix("torch."), "parts": parts,
        }  # fmt: skip

    @property
    def parameters(self) -> int:
        """How many numbers they are."""
        return sum(value.numel() for value in self.tensors.values())

    def left_out(self, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
        """Return a checkpoint without them."""
        if not self.tensors:
            return dict(checkpoint)
        names = {PREFIX + name for name in self.tensors}
        short = {
            key: {name: value for name, value in checkpoint[key].items() if name not in names}
            for key in _STATES
            if key in checkpoint
        }
        return {**checkpoint, **short, BASE: self.told}


_REMEDY = (
    "Put the file of weights back that the run started from (backbone.ckpt_path, or the library's download), or say "
    "where it lies now (action.base=FILE); where it started from random numbers, use the versions of torch and of this "
    "package that record.json names. trainer.keep=[best, base] keeps frozen weights in the file."
)


def put_back(checkpoint: Mapping[str, Any], model: nn.Module, path: Path, remedy: str | None = None) -> dict[str, Any]:
    """Return a checkpoint with the frozen weights that it left out, taken from a model that was built on the same base.

    path: where it lies, for errors. remedy: what to do about another base; None is about a run.

    Raises:
        UserError: the model's are other weights, or the checkpoint does not say which were left out.
    """
    if BASE not in checkpoint:
        return dict(checkpoint)
    told = checkpoint[BASE]
    dtype = getattr(torch, told["dtype"], None) if _is_told(told) else None
    if not isinstance(dtype, torch.dtype):
        raise UserError(f"{path} is damaged: it does not say which frozen weights it left out.")
    state = checkpoint["state_dict"]
    missing = {name: value.detach() for name, value in model.state_dict().items() if PREFIX + name not in state}
    if sha256_of(missing, dtype) != told["sha256"]:
        raise UserError(
            f"{path} holds only what learned, and the weights that were frozen beside it are not those that this "
            f"configuration gives here: their sha256 differs. {remedy or _REMEDY}"
        )
    back = {PREFIX + name: _as(value, dtype) for name, value in missing.items()}
    return {**checkpoint, **{key: {**checkpoint[key], **back} for key in _STATES if key in checkpoint}}


def sha256_of(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> str:
    """Return the sha256 over names, shapes and values of tensors; floating-point ones as `dtype`."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = _as(tensors[name].detach(), dtype).cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _as(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.to(dtype) if value.is_floating_point() else value


def _is_told(told: object) -> bool:
    keys: Iterable[str] = ("sha256", "dtype")
    return isinstance(told, Mapping) and all(isinstance(told.get(key), str) for key in keys)
