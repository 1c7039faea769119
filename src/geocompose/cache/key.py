"""What kept features depend on: the key of the folder that holds them."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import nn

# Of the data's configuration, what changes which samples there are, how they are drawn or how fast they are read, but
# no image; and paths, whose contents count.
_OF_NO_IMAGE = {
    "root", "batch_size", "num_workers", "cache_mb", "dihedral", "rotation_deg", "random_crop", "min_valid", "split",
    "split_files", "split_rename", "groups", "fraction", "fold", "folds", "allow_overlap", "allow_mismatch",
    "baselines",
}  # fmt: skip
# Of the backbone's, likewise: which layers it returns, since each is kept by itself; and where its weights come from,
# since they count themselves.
_OF_NO_LAYER = {"out_indices", "ckpt_path", "pretrained"}


def state_sha256(module: nn.Module) -> str:
    """Return one sha256 over names, shapes, types and values of a module's parameters and buffers."""
    state = sorted(module.state_dict().items())
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # hashing lets go of the interpreter
        hashes = list(pool.map(_tensor_sha256, (value for _, value in state)))
    listed = [(name, *found) for (name, _), found in zip(state, hashes, strict=True)]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _tensor_sha256(value: object) -> tuple[str, list[int], str]:
    if not isinstance(value, torch.Tensor):  # what a module keeps as its extra state
        return "object", [], hashlib.sha256(repr(value).encode()).hexdigest()
    plain = value.detach().cpu().contiguous()
    held = hashlib.sha256(plain.reshape(-1).view(torch.uint8).numpy().data).hexdigest()
    return str(value.dtype), list(value.shape), held


def description(
    config: Mapping[str, Any], data: Mapping[str, Any], code: Mapping[str, Any], computed: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what features depend on, as JSON knows it.

    config: the run's. data: what its record says of the data: fingerprint, bands, units and normalisation count. code:
    what it says of code of the user's own. computed: how they are computed, weights included.
    """
    return {
        "backbone": {key: value for key, value in config["backbone"].items() if key not in _OF_NO_LAYER},
        "temporal": config.get("temporal"),
        "data": {key: value for key, value in config["data"].items() if key not in _OF_NO_IMAGE},
        "read": {key: data.get(key) for key in ("fingerprint", "bands", "read_as", "tile_px", "fit", "coordinates")},
        "normalization": {key: data["normalization"].get(key) for key in ("mean", "std")},
        "code": code.get("sha256"),
        **computed,
    }


def key_of(described: Mapping[str, Any]) -> str:
    """Return the name of the folder for a description."""
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:16]
