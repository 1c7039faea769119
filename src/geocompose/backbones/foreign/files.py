"""Reading weight files: from a path or the Hugging Face hub, safetensors or torch, always without executing code."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor

from geocompose.backbones.foreign.adapters import LORA, plain_checkpoint
from geocompose.errors import UserError, first_line

log = logging.getLogger("geocompose")

CONTAINERS = ("state_dict", "model_state_dict", "model")
DEEPEST = 8  # mappings within mappings that are looked into
LEFT_OUT = "base"  # in a run's checkpoint without the weights that were frozen; see geocompose.models.frozen_weights
OLD_WRAPPER = "_timm_module."  # around the encoder in checkpoints of early TerraTorch and Prithvi versions


def download(repository: str, file: str, revision: str | None = None) -> Path:
    """Return the local path of a file of the Hugging Face hub, downloaded once and kept in the hub's cache.

    revision: a commit, branch or tag of the repository; null: its newest.

    Raises:
        UserError: it is neither cached nor reachable; says why and what to do.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo_id=repository, filename=file, revision=revision))
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ or cause.__context__:
            cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
        raise UserError(
            f"The weights {repository}/{file} can't be downloaded from the Hugging Face hub: {first_line(cause)}. "
            "Download the file elsewhere and give its path as backbone.ckpt_path, or use backbone.pretrained=false."
        ) from error


def sha256(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def origin(path: str | Path, source: str | None = None) -> dict[str, str]:
    """Return what a run records of weights: where they come from (the path where null) and the sha256 of their file."""
    return {"source": str(path) if source is None else source, "sha256": sha256(Path(path))}


def cached(url: str) -> Path:
    """Return where torch keeps the file of an address, whether it is there yet or not."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a weight file by name, on the CPU; an entry of `CONTAINERS` is unwrapped.

    Raises:
        UserError: see `read` and `tensors`.
    """
    return tensors(read(path), path)


def tensors(content: object, path: str | Path) -> dict[str, Tensor]:
    """Return what a weight file holds as tensors by name; of mappings within it (`teacher`, `student`), see `flat`.

    Raises:
        UserError: it holds something else.
    """
    if isinstance(content, Mapping) and any(isinstance(value, Mapping) for value in content.values()):
        content = flat(content) or content
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise UserError(f"{path} holds no state dict (a mapping of names to tensors), but {type(content).__name__}.")
    return dict(content)


def flat(content: Mapping[Any, Any], prefix: str = "") -> dict[str, Tensor]:
    """Return the tensors of mappings within mappings, their names joined by dots; what else they hold is left out."""
    found: dict[str, Tensor] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and prefix.count(".") < DEEPEST:
            found |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, Tensor):
            found[f"{prefix}{key}"] = value
    return found


def read(path: str | Path) -> object:
    """Return what a weight file holds, on the CPU; an entry of `CONTAINERS` is unwrapped.

    Raises:
        UserError: there is no such file, or it can't be read as weights without executing code.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no weight file at {path}. Give the path of a .pt, .pth, .ckpt or .safetensors file.")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty. Copy it again from where it was written.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: object = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise UserError(
            f"{path} can't be read as weights ({type(error).__name__}: {reason}). Give a state dict saved by "
            "torch.save or safetensors; files that would execute code are not opened."
        ) from error
    return _inside(content, path)


def _inside(content: object, path: Path) -> object:
    """Return what is in the entry that training loops put weights into; that another one holds some too is said."""
    if isinstance(content, Mapping) and LEFT_OUT in content:
        _refuse_without_backbone(content, path)
    if isinstance(content, Mapping) and (plain := plain_checkpoint(content)) is not None:
        log.info("%s: what LoRA has learned is added to the %d layers that it adapts.", path, len(content[LORA]))
        content = plain
    for key in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            others = [str(other) for other, value in content.items() if other != key and _is_state(value)]
            if others:
                log.info("%s: the weights in %r are read, not those in %s.", path, key, ", ".join(map(repr, others)))
            content = content[key]
    return content


def _refuse_without_backbone(content: Mapping[Any, Any], path: Path) -> None:
    """Refuse a run's checkpoint whose backbone was frozen: of it only adapters, if any, are in the file.

    Raises:
        UserError: says where the backbone is.
    """
    told = content[LEFT_OUT]
    if isinstance(told, Mapping) and "encoder" in (told.get("parts") or ()):
        raise UserError(
            f"{path} holds only what learned, and its run's backbone was frozen: start from the weights that it "
            "started from (backbone in its config.yaml). trainer.keep=[best, base] keeps frozen weights in the file."
        )


def _is_state(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(each, Tensor) for each in value.values())


def without_timm_module(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under today's names: old ones with `_timm_module.` somewhere in them lose it.

    Raises:
        UserError: two tensors would have one name.
    """
    renamed: dict[str, Tensor] = {}
    for key, value in state_dict.items():
        name = key.replace(OLD_WRAPPER, "")
        if name in renamed:
            raise UserError(f"These weights hold {name} twice, with and without {OLD_WRAPPER!r}. Keep one of them.")
        renamed[name] = value
    return renamed
