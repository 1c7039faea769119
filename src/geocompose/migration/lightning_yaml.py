"""The configuration file of a LightningCLI, as TerraTorch reads it: `class_path` and `init_args`, YAML anchors."""

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from geocompose.errors import UserError
from geocompose.runs.bounded_yaml import bounded_text


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the plain content of a configuration file, anchors resolved.

    Raises:
        UserError: there is no such file, or it is not a YAML mapping of plain values with a `model`.
    """
    if not path.is_file():
        raise UserError(f"action.config={path}: there is no such file. Give the YAML of a TerraTorch run.")
    try:
        # OmegaConf's loader, because 1e-4 is a number for it and for Lightning, but a text for YAML 1.1.
        content = OmegaConf.to_container(OmegaConf.create(bounded_text(path)), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"action.config={path} can't be read as YAML of plain values: {reason}") from error
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise UserError(
            f"action.config={path} is not a TerraTorch configuration: it has no `model:` with class_path and "
            "init_args. "
            "Give the file that `terratorch fit --config` takes."
        )
    return {str(key): value for key, value in content.items()}


def class_name(node: Any) -> str | None:
    """Return the class that a node with `class_path` names, without its package; None where it names none."""
    if isinstance(node, str):
        return node.rpartition(".")[2]
    path = node.get("class_path") if isinstance(node, dict) else None
    return path.rpartition(".")[2] if isinstance(path, str) else None
