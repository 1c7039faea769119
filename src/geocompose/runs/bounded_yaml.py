"""YAML of a stranger, looked at before it is built: how much it would become, aliases and all."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from geocompose.errors import UserError
from geocompose.runs.atomic import explained
from geocompose.runs.trust import DEEPEST, MOST_VALUES, too_deep, too_many

if TYPE_CHECKING:
    from yaml import Node

_MOST_BYTES = 4 * 2**20


def bounded_text(path: Path) -> str:
    """Return the text of a YAML file which, once built, is no larger and no deeper than a configuration can be.

    Raises:
        UserError: it is larger than 4 MiB, holds more than 100,000 values or is nested more than 40 deep, each alias
            counted as what it stands for; or it is not a regular file.
        OSError, UnicodeDecodeError, yaml.YAMLError: it can't be read, or is not YAML.
    """
    return _composed(path)[0]


def bounded_yaml(path: Path) -> Any:
    """Return what a YAML file holds, in the bounds of `bounded_text`; quicker than reading it by the usual loader.

    Raises:
        UserError, OSError, UnicodeDecodeError, yaml.YAMLError: see `bounded_text`.
    """
    import yaml

    _, root = _composed(path, quick=True)
    try:
        return None if root is None else yaml.constructor.SafeConstructor().construct_document(root)
    except RecursionError as error:
        raise UserError(too_deep(path)) from error


def _composed(path: Path, *, quick: bool = False) -> tuple[str, "Node | None"]:
    """Return a file's text and its root node, measured. quick: by libyaml, where PyYAML has it."""
    import yaml  # not needed to read records

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader) if quick else yaml.SafeLoader
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a file. Put the original back.")
    with explained(path, "read"):
        if path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path} is larger than {_MOST_BYTES // 2**20} MiB; a configuration has a few kB.")
        text = path.read_text(encoding="utf-8")
    try:
        root = yaml.compose(text, Loader=loader)
        # Without an anchor a text becomes no more than it says, and one of this length can't say too much.
        if root is not None and not (quick and "&" not in text and len(text) < MOST_VALUES):
            _measure(root, path, {})
    except RecursionError as error:
        raise UserError(too_deep(path)) from error
    return text, root


def _measure(node: "Node", path: Path, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Return how many values a node becomes, and how deep they are; each node is looked at once."""
    if id(node) not in known:
        known[id(node)] = MOST_VALUES + 1, 0  # what holds itself is met again before it is counted
        items = node.value if isinstance(node.value, list) else []
        parts = [each for item in items for each in (item if isinstance(item, tuple) else (item,))]
        sizes = [_measure(part, path, known) for part in parts]
        known[id(node)] = 1 + sum(size for size, _ in sizes), 1 + max((depth for _, depth in sizes), default=-1)
    size, depth = known[id(node)]
    if size > MOST_VALUES:
        raise UserError(too_many(path))
    if depth > DEEPEST:
        raise UserError(too_deep(path))
    return size, depth
