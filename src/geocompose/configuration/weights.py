"""Where a configuration names files of weights: of a backbone, or of each of several side by side."""

from collections.abc import Mapping
from typing import Any


def weight_files(backbone: Mapping[str, Any], key: str = "backbone") -> dict[str, str]:
    """Return the files that a backbone's configuration names, by the keys that name them."""
    files: dict[str, str] = {}
    for name, value in backbone.items():
        if isinstance(value, Mapping):
            files |= weight_files(value, f"{key}.{name}")
        elif name == "ckpt_path" and value is not None:
            files[f"{key}.{name}"] = value
    return files


def without_weights(backbone: Mapping[str, Any]) -> dict[str, Any]:
    """Return a backbone's configuration that loads no weights: pretrained is false and ckpt_path null, in its parts too."""
    off = {"pretrained": False, "ckpt_path": None}
    return {
        name: without_weights(value) if isinstance(value, Mapping) else off.get(name, value)
        for name, value in backbone.items()
    }
