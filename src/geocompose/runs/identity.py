"""What makes two runs the same run: a hash of what was configured and of what the inputs hold."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Any

from geocompose.errors import UserError, choices

_GONE = object()
_LONGEST_PART = 60


@dataclass(frozen=True)
class IdentityRules:
    """Which keys of a configuration say what is computed; keys are dotted patterns as `conf/identity.yaml` explains.

    volatile: left out.
    contents: left out, since what the path holds counts; the value names the input that holds its hash.
    file_names: paths reduced to their file names.
    defaults: left out at the given value. neutral: left out at any of the given values.
    options: mappings of `where`, values by key without patterns, and `defaults`, which come in place of those above for
        configurations that have all these values.
    renamed: `_target_`s that have moved, each with the name under which runs were first recorded. The other rules, and
        hashes, speak of a target by that first name.
    numerics: raised when the code computes something else from the same configuration; counts from 2 on.
    """

    volatile: tuple[str, ...] = ()
    contents: Mapping[str, str] = field(default_factory=dict)
    file_names: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    neutral: Mapping[str, list[Any]] = field(default_factory=dict)
    options: Sequence[Mapping[str, Mapping[str, Any]]] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    numerics: int = 1

    def first_named(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration with each moved `_target_` under the name that it had first."""
        return _with_targets(config, self.renamed)

    def now_named(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration recorded at any time with each `_target_` under the name that it has today."""
        return _with_targets(config, {first: now for now, first in self.renamed.items()})

    def of(self, config: Mapping[str, Any]) -> "IdentityRules":
        """Return the rules for one configuration: those of its options are among the others."""
        defaults = dict(self.defaults)
        values = {".".join(key): value for key, value in _walk(config, ())}
        for option in self.options:
            if all(key in values and _same(values[key], value) for key, value in option["where"].items()):
                defaults |= option["defaults"]
        return replace(self, defaults=defaults, options=())


def load_rules(conf_dir: Path) -> IdentityRules:
    """Return the rules in `conf_dir`/identity.yaml.

    Raises:
        UserError: the file is missing, isn't YAML, or has a section of another name or form.
    """
    import yaml  # not needed by who only reads records

    path = Path(conf_dir) / "identity.yaml"
    try:
        sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing: it says which keys identify a run. Restore it from the repository."
        ) from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    known = [part.name for part in fields(IdentityRules)]
    if not isinstance(sections, dict):
        raise UserError(f"{path} must have the sections {', '.join(known)}.")
    for name, section in sections.items():
        if name not in known:
            raise UserError(f"{path} has an unknown section {name!r}. {choices(name, known)}")
        if name == "options":
            _check_options(path, section)
            continue
        if name == "numerics":
            if isinstance(section, bool) or not isinstance(section, int) or section < 1:
                raise UserError(f"{path}: numerics must be a whole number, 1 or more; got {section!r}.")
            continue
        wanted = dict if name in ("contents", "defaults", "neutral", "renamed") else list
        entries = section if isinstance(section, list) else list(section or ())
        if not isinstance(section, wanted) or not all(isinstance(entry, str) for entry in entries):
            form = "a mapping from keys" if wanted is dict else "a list of keys"
            raise UserError(f"{path}: {name} must be {form} (text), got {section!r}.")
    return IdentityRules(
        volatile=tuple(sections.get("volatile", ())),
        contents=sections.get("contents", {}),
        file_names=tuple(sections.get("file_names", ())),
        defaults=sections.get("defaults", {}),
        neutral=sections.get("neutral", {}),
        options=tuple(sections.get("options", ())),
        renamed=_checked_names(path, sections.get("renamed", {})),
        numerics=sections.get("numerics", 1),
    )


def _checked_names(path: Path, renamed: Mapping[str, Any]) -> Mapping[str, str]:
    """Return a section `renamed` in which every target has one name today, and one that it had first.

    Raises:
        UserError: a name is not text, or two names of today stand for one of then: no record could be loaded by it.
    """
    wrong = [now for now, first in renamed.items() if not isinstance(first, str)]
    if wrong:
        raise UserError(f"{path}: renamed must be a mapping {{new name: first name}} of texts, got {wrong[0]!r}.")
    names = list(renamed.values())
    twice = sorted({first for first in names if names.count(first) > 1})
    if twice:
        raise UserError(f"{path}: renamed gives {twice[0]} two names of today. Keep one of them.")
    chained = sorted(set(names) & set(renamed))
    if chained:
        raise UserError(
            f"{path}: renamed has {chained[0]} both as a new name and as a first one. Write the first name beside the "
            "newest."
        )
    return renamed


def _check_options(path: Path, section: object) -> None:
    """Refuse a section `options` of another form.

    Raises:
        UserError: says the form.
    """
    entries = section if isinstance(section, list) else [section]
    for entry in entries if entries else [None]:
        if (
            not isinstance(entry, dict)
            or entry.keys() != {"where", "defaults"}
            or not all(map(_by_text, entry.values()))
        ):
            raise UserError(
                f"{path}: options must be a list of {{where: {{KEY: VALUE}}, defaults: {{KEY: VALUE}}}}, got "
                f"{section!r}."
            )


def _by_text(section: object) -> bool:
    return isinstance(section, dict) and bool(section) and all(isinstance(key, str) for key in section)


def counted(config: Mapping[str, Any], rules: IdentityRules) -> dict[str, Any]:
    """Return the part of `config` (plain, resolved, typed) that identifies a run under `rules`."""
    config = rules.first_named(config)
    left = _left(config, (), rules.of(config))
    return {} if left is _GONE else left


def run_id(config: Mapping[str, Any], inputs: Mapping[str, str], rules: IdentityRules) -> str:
    """Return the run's identity, 10 hexadecimal characters.

    config: the whole configuration, plain, resolved and typed: 1, 1.0 and true are different values here.
    inputs: hashes of what input paths hold, such as {"data": ..., "weights": ...}; a path under `rules.contents` that
        is set must have its input here.
    """
    for key, value in _walk(config, ()):
        if value is None or any(_is_any(rules.volatile, key[:length]) for length in range(1, len(key) + 1)):
            continue
        for pattern, name in rules.contents.items():
            if _matches(pattern.split("."), key):
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
    if _is_any(rules.volatile, key) or _is_any(rules.contents, key):
        return _GONE
    left_out = [*rules.defaults.items(), *((key, one) for key, several in rules.neutral.items() for one in several)]
    for pattern, neutral in left_out:
        if _matches(pattern.split("."), key) and _same(value, neutral):
            return _GONE
    if _is_any(rules.file_names, key):
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


def _with_targets(value: Any, names: Mapping[str, str]) -> Any:
    """Return `value` with each `_target_` in it, at any depth, that `names` knows replaced."""
    if isinstance(value, Mapping):
        return {
            key: names.get(item, item) if key == "_target_" and isinstance(item, str) else _with_targets(item, names)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_with_targets(item, names) for item in value]
    return value


def _walk(value: Any, key: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield key, value
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _walk(item, (*key, str(name)))
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from _walk(item, (*key, str(place)))


def _is_any(patterns: Iterable[str], key: tuple[str, ...]) -> bool:
    return any(_matches(pattern.split("."), key) for pattern in patterns)


def _matches(pattern: list[str], key: tuple[str, ...]) -> bool:
    if not pattern:
        return not key
    if pattern[0] == "**":
        return any(_matches(pattern[1:], key[skipped:]) for skipped in range(len(key) + 1))
    return bool(key) and fnmatchcase(key[0], pattern[0]) and _matches(pattern[1:], key[1:])


def _same(value: object, neutral: object) -> bool:
    # Rules are untyped YAML: there 0 may stand for a float's 0.0, but never for false.
    return value == neutral and isinstance(value, bool) == isinstance(neutral, bool)


def _by_name(value: Any) -> Any:
    """Return `value` with each path in it shortened to its name, or to as many parts as tell the paths apart."""
    paths = {item: PurePath(item).parts for _, item in _walk(value, ()) if isinstance(item, str)}
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
