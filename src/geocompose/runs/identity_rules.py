"""What identifies a run, as `conf/identity.yaml` rules: which keys count, and what moved since runs were recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from geocompose.errors import UserError, choices
from geocompose.runs.keys import is_any, same, walk


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
    gone: keys that recorded runs have and that nothing reads any more: left out when such a run is loaded.
    numerics: raised when the code computes something else from the same configuration; 2 or more is hashed.
    """

    volatile: tuple[str, ...] = ()
    contents: Mapping[str, str] = field(default_factory=dict)
    file_names: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    neutral: Mapping[str, list[Any]] = field(default_factory=dict)
    options: Sequence[Mapping[str, Mapping[str, Any]]] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    numerics: int = 1

    def first_named(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration with each moved `_target_` under the name that it had first."""
        return _with_targets(config, self.renamed)

    def now_named(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration recorded at any time with each `_target_` under the name that it has today.

        Keys that are gone are left out.
        """
        return _without(_with_targets(config, {first: now for now, first in self.renamed.items()}), (), self.gone)

    def of(self, config: Mapping[str, Any]) -> "IdentityRules":
        """Return the rules for one configuration: those of its options are among the others."""
        defaults = dict(self.defaults)
        values = {".".join(key): value for key, value in walk(config)}
        for option in self.options:
            if all(key in values and same(values[key], value) for key, value in option["where"].items()):
                defaults |= option["defaults"]
        return replace(self, defaults=defaults, options=())


def load_rules(conf_dir: Path) -> IdentityRules:
    """Return the rules in `conf_dir`/identity.yaml.

    Raises:
        UserError: the file is missing, isn't YAML, or has a section of another name or form.
    """
    import yaml  # not needed to read records

    path = Path(conf_dir) / "identity.yaml"
    try:
        sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing: it says which keys identify a run. Restore it from the repository."
        ) from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    _check_sections(path, sections)
    return IdentityRules(
        volatile=tuple(sections.get("volatile", ())),
        contents=sections.get("contents", {}),
        file_names=tuple(sections.get("file_names", ())),
        defaults=sections.get("defaults", {}),
        neutral=sections.get("neutral", {}),
        options=tuple(sections.get("options", ())),
        renamed=_checked_names(path, sections.get("renamed", {})),
        gone=tuple(sections.get("gone", ())),
        numerics=sections.get("numerics", 1),
    )


def _without(value: Any, key: tuple[str, ...], gone: Sequence[str]) -> Any:
    """Return `value`, which stands under `key`, without the keys that are gone."""
    if not isinstance(value, Mapping):
        return value
    return {
        name: _without(item, (*key, str(name)), gone)
        for name, item in value.items()
        if not is_any(gone, (*key, str(name)))
    }


def _check_sections(path: Path, sections: object) -> None:
    """Refuse a section of another name or form.

    Raises:
        UserError: says what a section holds.
    """
    known = [part.name for part in fields(IdentityRules)]
    if not isinstance(sections, dict):
        raise UserError(f"{path} must have the sections {', '.join(known)}.")
    for name, section in sections.items():
        if name not in known:
            raise UserError(f"{path} has an unknown section {name!r}. {choices(name, known)}")
        if name == "options":
            _check_options(path, section)
        elif name == "numerics":
            if isinstance(section, bool) or not isinstance(section, int) or section < 1:
                raise UserError(f"{path}: numerics must be a whole number, 1 or more; got {section!r}.")
        else:
            _check_keys(path, name, section)


def _check_keys(path: Path, name: str, section: object) -> None:
    wanted = dict if name in ("contents", "defaults", "neutral", "renamed") else list
    entries = list(section) if isinstance(section, list | dict) else []
    if not isinstance(section, wanted) or not all(isinstance(entry, str) for entry in entries):
        form = "a mapping from keys" if wanted is dict else "a list of keys"
        raise UserError(f"{path}: {name} must be {form} (text), got {section!r}.")


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
