"""Tensors of a bundle, by the names that a model has here; safetensors alone, and what fits the model alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geocompose.errors import UserError, shortened
from geocompose.models.encoder_decoder import EncoderDecoderModel
from geocompose.models.frozen_weights import BASE, PREFIX
from geocompose.peft.saved import SavedAdapter
from geocompose.runs.bundle import ADAPTER_WEIGHTS, WEIGHTS, Bundle

_MOST_HEADER_BYTES = 16 * 2**20  # names, shapes and places of tensors; the largest models have a tenth of it

# Kinds of numbers that a model's tensors have, as safetensors calls them.
_FLOATING = ("F64", "F32", "F16", "BF16")
_KINDS = (*_FLOATING, "I64", "I32", "I16", "I8", "U8", "BOOL")


def bundle_content(bundle: Bundle, model: EncoderDecoderModel) -> dict[str, Any]:
    """Return what a bundle holds as a run's checkpoint does; see `geocompose.models.frozen_weights`.

    Raises:
        UserError: see `bundle_state`.
    """
    state = {PREFIX + name: value for name, value in bundle_state(bundle, model).items()}
    base = bundle.manifest.base
    return {"state_dict": state, **({} if base is None else {BASE: {"sha256": base.sha256, "dtype": base.dtype}})}


def bundle_state(bundle: Bundle, model: EncoderDecoderModel) -> dict[str, Tensor]:
    """Return the weights that a bundle holds, by their names in a model that was built by its configuration.

    Raises:
        UserError: a file is not safetensors, or holds what the model has not: other names, shapes or kinds of numbers,
            or NaN or infinite weights.
    """
    own = model.state_dict()
    state = _read(bundle.path / WEIGHTS, own)
    if bundle.manifest.adapter is not None:
        adapter = SavedAdapter.of(model.encoder)
        if adapter is None:
            raise UserError(
                f"The bundle {bundle.path} has an adapter for PEFT, and its configuration builds a model without one. "
                "It was changed, or another version of peft adapts other layers (manifest.json: versions)."
            )
        path = bundle.path / ADAPTER_WEIGHTS
        learned = _read(path, adapter.tensors)
        if missing := sorted(adapter.tensors.keys() - learned.keys()):
            raise UserError(_unlike(path, f"{shortened(missing, 4)} missing"))
        state |= {f"encoder.{name}": learned[theirs] for theirs, names in adapter.names.items() for name in names}
    spoilt = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if spoilt:
        raise UserError(f"The bundle {bundle.path} holds NaN or infinite weights ({shortened(spoilt, 4)}).")
    return state


def whole_state(bundle: Bundle, part: str) -> dict[str, Tensor]:
    """Return the tensors of one part of the model, as `encoder`, out of a bundle that holds all of its weights.

    Names keep the part's as a prefix.
    """
    state = _read(bundle.path / WEIGHTS, None)
    return {name: value for name, value in state.items() if name.startswith(f"{part}.")}


def _read(path: Path, expected: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """Return a file's tensors. expected: those that there may be; None takes all."""
    from safetensors import SafetensorError, safe_open

    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > min(_MOST_HEADER_BYTES, path.stat().st_size):
        raise UserError(f"{path} is not safetensors: its header would have {header:,} bytes.")
    try:
        with safe_open(path, framework="pt", device="cpu") as content:
            names = list(content.keys())
            if expected is not None:
                _check_header(path, {name: content.get_slice(name) for name in names}, expected)
            return {name: content.get_tensor(name) for name in names}
    except (SafetensorError, RuntimeError, ValueError, TypeError, LookupError, MemoryError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is not safetensors that can be read ({type(error).__name__}: {error}).") from error


def _check_header(path: Path, slices: Mapping[str, Any], expected: Mapping[str, Tensor]) -> None:
    """Refuse what the model has not, before a tensor is read.

    Raises:
        UserError: says which tensors are unlike the model's.
    """
    if other := sorted(name for name in slices if name not in expected):
        raise UserError(_unlike(path, f"{shortened([name[:120] for name in other], 4)} belong nowhere"))
    shapes = [
        f"{name} {tuple(part.get_shape())} instead of {tuple(expected[name].shape)}"
        for name, part in slices.items()
        if tuple(part.get_shape()) != tuple(expected[name].shape)
    ]
    if shapes:
        raise UserError(_unlike(path, shortened(shapes, 4)))
    kinds = [
        f"{name} is {part.get_dtype()}"
        for name, part in slices.items()
        if (part.get_dtype() in _FLOATING) != expected[name].is_floating_point() or part.get_dtype() not in _KINDS
    ]
    if kinds:
        raise UserError(_unlike(path, shortened(kinds, 4)))


def _unlike(path: Path, what: str) -> str:
    return (
        f"{path} does not fit the model that the bundle's configuration builds: {what}. It was changed, or another "
        "version of a library builds another model (manifest.json: versions)."
    )
