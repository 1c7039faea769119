"""Where a configuration names files of weights: of a backbone, or of each of several side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geocompose.errors import UserError
from geocompose.runs.bundle import is_bundle


def weight_files(backbone: Mapping[str, Any], key: str = "backbone") -> dict[str, str]:
    """Return the files that a backbone's configuration names, by the keys that name them."""
    files: dict[str, str] = {}
    for name, value in backbone.items():
        if isinstance(value, Mapping):
            files |= weight_files(value, f"{key}.{name}")
        elif name == "ckpt_path" and value is not None:
            files[f"{key}.{name}"] = value
    return files


def existing_weight_files(backbone: Mapping[str, Any]) -> dict[str, Path]:
    """Return what `weight_files` does: files, or folders that hold a bundle.

    Raises:
        UserError: one isn't there.
    """
    files = {key: Path(path) for key, path in weight_files(backbone).items()}
    for key, path in files.items():
        if path.is_dir() and not is_bundle(path):
            raise UserError(
                f"{key}={path} is a folder. Give a file of weights, such as a run's checkpoints/best.ckpt, or a bundle "
                "(action=export)."
            )
        if not path.exists():
            raise UserError(f"{key}={path}: there is no such file.")
    return files


def loads_weights(backbone: Mapping[str, Any]) -> bool:
    """Return whether a backbone, or one of its parts, starts from weights rather than from random numbers."""
    parts = [part for part in (backbone.get("parts") or {}).values() if isinstance(part, Mapping)]
    return any(backbone.get(key) for key in ("pretrained", "weights", "ckpt_path")) or any(map(loads_weights, parts))


def without_weights(backbone: Mapping[str, Any]) -> dict[str, Any]:
    """Return a backbone's configuration without weights: pretrained is false and ckpt_path null, in its parts too."""
    off = {"pretrained": False, "ckpt_path": None}
    return {
        name: without_weights(value) if isinstance(value, Mapping) else off.get(name, value)
        for name, value in backbone.items()
    }
