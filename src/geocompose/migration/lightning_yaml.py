"""The configuration file of a LightningCLI, as TerraTorch reads it: `class_path` and `init_args`, YAML anchors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from geocompose.errors import UserError
from geocompose.runs.bounded_yaml import bounded_text


def read_yaml(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the plain content of a configuration file, anchors resolved, and which keys it gives twice, in lines.

    The last one counts, as it does for TerraTorch, whose parser says nothing of it. What a part has under `dict_kwargs`
    stands among its `init_args`, as both are handed to the class.

    Raises:
        UserError: there is no such file, or it is not a YAML mapping of plain values with a `model`.
    """
    if not path.is_file():
        raise UserError(f"action.config={path}: there is no such file. Give the YAML of a TerraTorch run.")
    try:
        text = bounded_text(path)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        repeated = [] if root is None else list(_last_of_each_key(root, "", set()))
        # OmegaConf's loader, because 1e-4 is a number for it and for Lightning, but a text for YAML 1.1.
        content = OmegaConf.to_container(OmegaConf.create(yaml.serialize(root) if repeated else text), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"action.config={path} can't be read as YAML of plain values: {reason}") from error
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise UserError(
            f"action.config={path} is not a TerraTorch configuration: it has no `model:` with class_path and "
            "init_args. "
            "Give the file that `terratorch fit --config` takes."
        )
    return {str(key): _with_keywords(value) for key, value in content.items()}, repeated


def _with_keywords(node: Any) -> Any:
    """Return a part of a configuration whose `dict_kwargs`, which a class is handed too, stand among its init_args."""
    if isinstance(node, list):
        return [_with_keywords(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _with_keywords(value) for key, value in node.items()}
    more, arguments = found.get("dict_kwargs"), found.get("init_args") or {}
    if "class_path" in found and isinstance(more, dict) and isinstance(arguments, dict):
        found["init_args"] = {**arguments, **found.pop("dict_kwargs")}
    return found


def _last_of_each_key(node: yaml.Node, place: str, seen: set[int]) -> Iterator[str]:
    """Drop all but the last of equal keys from a document, and yield a line for each that is dropped."""
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    if not isinstance(node, yaml.MappingNode):
        for index, item in enumerate(node.value):
            yield from _last_of_each_key(item, f"{place}{index}.", seen)
        return
    last = {(key.tag, str(key.value)): value for key, value in node.value}
    for key, value in node.value:
        counts = last[key.tag, str(key.value)]
        if counts is value:
            yield from _last_of_each_key(value, f"{place}{key.value}.", seen)
            continue
        shown = [repr(each.value) if isinstance(each, yaml.ScalarNode) else "a part" for each in (value, counts)]
        twice = f"{place}{key.value} is given twice, as {shown[0]} and as {shown[1]}"
        yield f"{twice}: the last one counts, as in TerraTorch"
    node.value = [(key, value) for key, value in node.value if last[key.tag, str(key.value)] is value]


def class_name(node: Any) -> str | None:
    """Return the class that a node with `class_path` names, without its package; None where it names none."""
    if isinstance(node, str):
        return node.rpartition(".")[2]
    path = node.get("class_path") if isinstance(node, dict) else None
    return path.rpartition(".")[2] if isinstance(path, str) else None
