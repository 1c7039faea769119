"""What makes two runs the same run: a hash of what was configured and of what the inputs hold."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from geocompose.runs.identity_rules import IdentityRules
from geocompose.runs.keys import is_any, matching, same, walk

_GONE = object()
_LONGEST_PART = 60


def counted(config: Mapping[str, Any], rules: IdentityRules) -> dict[str, Any]:
    """Return the part of `config` (plain, resolved, typed) that identifies a run under `rules`."""
    config = rules.first_named(config)
    left = _left(config, (), rules.of(config))
    return {} if left is _GONE else left


def run_id(config: Mapping[str, Any], inputs: Mapping[str, str], rules: IdentityRules) -> str:
    """Return the run's identity, 10 hexadecimal characters.

    config: the whole configuration, plain, resolved and typed: 1, 1.0 and true are different values here.
    inputs: hashes of what input paths hold, such as {"data": ..., "weights": ...}, and of the user's own "code"; a
        path under `rules.contents` that is set must have its input here.
    """
    contents = tuple(rules.contents)
    for key, value in walk(config):
        for pattern in matching(contents, key):
            volatile = any(is_any(rules.volatile, key[:length]) for length in range(1, len(key) + 1))
            if value is not None and not volatile:
                name = rules.contents[pattern]
                assert name in inputs, f"{'.'.join(key)} is set, but what it holds is not among the inputs as {name!r}"
    hashed: dict[str, Any] = {"config": counted(config, rules), "inputs": inputs}
    if rules.numerics > 1:
        hashed["numerics"] = rules.numerics
    text = _canonical(hashed)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def folder_name(backbone: str, decoder: str, peft: str, run_id: str) -> str:
    """Return `<backbone>-<decoder>-<peft>-<run id>`, safe as a folder's name on every file system."""
    parts = [re.sub(r"[^A-Za-z0-9._-]+", "_", part)[:_LONGEST_PART] for part in (backbone, decoder, peft)]
    # A leading dot would hide the folder, a leading hyphen would make an option of it.
    return "-".join([*parts, run_id]).lstrip(".-")


def _left(value: Any, key: tuple[str, ...], rules: IdentityRules) -> Any:
    """Return what counts of `value`, which stands under `key`, or _GONE."""
    if is_any(rules.volatile, key) or is_any(rules.contents, key):
        return _GONE
    neutral = [rules.defaults[pattern] for pattern in matching(tuple(rules.defaults), key)]
    neutral += [one for pattern in matching(tuple(rules.neutral), key) for one in rules.neutral[pattern]]
    if any(same(value, each) for each in neutral):
        return _GONE
    if is_any(rules.file_names, key):
        return _by_name(value)
    if isinstance(value, Mapping):
        left = {name: _left(item, (*key, str(name)), rules) for name, item in value.items()}
        kept = {name: item for name, item in left.items() if item is not _GONE}
        # A group of which nothing counts must not differ from a group that did not exist when a run was recorded.
        return kept if kept or not value else _GONE
    if isinstance(value, (list, tuple)):
        items = [_left(item, (*key, str(place)), rules) for place, item in enumerate(value)]
        return [None if item is _GONE else item for item in items]
    return value


def _by_name(value: Any) -> Any:
    """Return `value` with each path in it shortened to its name, or to as many parts as tell the paths apart."""
    paths = {item: PurePath(item).parts for _, item in walk(value, ()) if isinstance(item, str)}
    length = 1
    while len({parts[-length:] for parts in paths.values()}) < len(set(paths.values())):
        length += 1
    return _replaced(value, {path: "/".join(parts[-length:]) for path, parts in paths.items()})


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _replaced(item, names) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replaced(item, names) for item in value]
    return names[value] if isinstance(value, str) else value


def _canonical(value: Any) -> str:
    """Return the one text of a value: equal for equal values whatever their order, different for different ones."""
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{_canonical(key)}:{_canonical(item)}" for key, item in value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_canonical, value)) + "]"
    assert value is None or isinstance(value, (bool, int, float, str)), f"not a plain value: {value!r}"
    return json.dumps(value)
