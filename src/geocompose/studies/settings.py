"""What runs were told: the options chosen and the values given, and which of them tell the runs of a study apart."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from geocompose.errors import UserError, counted, shortened
from geocompose.runs import Record, RunFolder
from geocompose.runs.keys import is_any
from geocompose.studies.reading import LoneCell, Run

log = logging.getLogger("geocompose")

NAMED = ("backbone", "decoder", "peft")  # groups whose options are in the name of a run's folder
Settings = dict[str, str]


def choices_of(run: Run | LoneCell) -> Settings:
    """Return the option chosen in each group, as far as it is known.

    Records of before they were noted tell those that were typed, and those in the name of the run's folder.
    """
    if isinstance(run, LoneCell):
        return _plain(run.cell.choices)
    return recorded_choices(run.folder, run.record)


def recorded_choices(folder: RunFolder, record: Record) -> Settings:
    """Return the option chosen in each group, as far as a run's files tell; see `choices_of`."""
    noted = _plain(_noted(record))
    if noted:
        return noted
    parts = folder.path.name.split("-")
    # With another number of hyphens the folder was renamed, or one of the names has a hyphen.
    named = dict(zip(NAMED, parts, strict=False)) if len(parts) == len(NAMED) + 1 else {}
    typed = (text.lstrip("+").partition("=") for text in typed_overrides(folder, []))
    return named | {key: value for key, _, value in typed if key in NAMED}


def _plain(choices: Mapping[str, str | None]) -> Settings:
    """Return choices of parts: neither of Hydra's own groups, nor of groups within groups."""
    return {group: str(option) for group, option in choices.items() if option is not None and _is_plain(group)}


def _noted(record: Record) -> Mapping[str, str | None]:
    return record.choices


def all_settings(runs: Sequence[Run | LoneCell], volatile: Iterable[str]) -> list[Settings]:
    """Return, of each run, its choices, the values that were given to it, and its seed.

    volatile: patterns of keys that change no result; they are left out.
    """
    patterns = tuple(volatile)

    @cache
    def is_shown(key: str) -> bool:
        steps = tuple(key.split("."))
        left_out = any(is_any(patterns, steps[:length]) for length in range(1, len(steps) + 1))
        return not key.startswith("~") and not left_out and steps[0] != "hydra"

    unread: list[str] = []
    found = []
    for run in runs:
        settings = choices_of(run)
        for text in _overrides(run, unread):
            key, sign, value = text.lstrip("+").partition("=")
            if sign and is_shown(key):
                settings[key] = value
        if isinstance(run, Run) and "seed" in run.record.seeds:
            settings["seed"] = str(run.record.seeds["seed"])
        found.append(settings)
    if unread:
        log.warning(
            "overrides.yaml of %s can't be read, so that what was typed for them is not shown: %s",
            counted(len(unread), "run"), shortened(unread, 3),
        )  # fmt: skip
    return found


def distinguishing(
    runs: Sequence[Run | LoneCell], volatile: Iterable[str], *, filled: bool = True
) -> tuple[list[str], list[Settings]]:
    """Return the keys whose values differ between runs, parts first, and the values of each run under these keys.

    A key that was given to some runs alone has, of the others, the value that stands in their configuration; where
    there is none, the key is missing. filled: false leaves it missing, without reading any configuration.
    """
    found = all_settings(runs, volatile)
    keys = dict.fromkeys([*NAMED, *(key for settings in found for key in settings)])
    differ = [key for key in keys if _several(key, found)]
    configs: dict[int, Mapping[str, Any]] = {}
    for key in differ if filled else ():
        for place, (run, settings) in enumerate(zip(runs, found, strict=True)):
            # A part of one's own has no other key in common with those that have a name.
            if key not in settings and isinstance(run, Run) and not key.endswith("_target_"):
                if place not in configs:
                    configs[place] = _configuration(run.folder)
                value = _at(configs[place], key)
                if value is not None:
                    settings[key] = value
    differ = [key for key in differ if _several(key, found)]
    return differ, [{key: settings[key] for key in differ if key in settings} for settings in found]


def same_value(text: str) -> str:
    """Return a value as text such that equal values have equal texts: `1e-3` is `0.001`, `[1, 2]` is `[1,2]`."""
    bare = text.strip().strip("'\"")
    try:
        return repr(float(bare.replace("_", "x")))
    except ValueError:
        return "".join(bare.split())


def _several(key: str, found: Sequence[Settings]) -> bool:
    """Return whether a key's values differ; that another part lacks it is no difference beside that of the parts."""
    with_it = [settings for settings in found if key in settings]
    group = key.partition(".")[0]
    options = {settings.get(group) for settings in with_it}
    alike = [settings for settings in found if key not in settings and (group == key or settings.get(group) in options)]
    return len({same_value(settings[key]) for settings in with_it}) + bool(alike and with_it) > 1


def _is_plain(group: str) -> bool:
    return group.isidentifier() and group not in ("action", "launcher", "logger")


def _overrides(run: Run | LoneCell, unread: list[str]) -> Sequence[str]:
    return run.cell.overrides if isinstance(run, LoneCell) else typed_overrides(run.folder, unread)


def typed_overrides(folder: RunFolder, unread: list[str]) -> Sequence[str]:
    """Return the overrides that a run was started with; where they can't be read, its name is added to `unread`."""
    path = folder.overrides
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        # As runs write them: a YAML list of JSON texts.
        texts = [json.loads(line.removeprefix("- ")) for line in lines if line.strip()]
        if all(isinstance(text, str) for text in texts):
            return texts
    except FileNotFoundError:
        return []  # as of an imported run
    except (OSError, ValueError, RecursionError):
        pass
    unread.append(folder.path.name)
    return []


def _configuration(folder: RunFolder) -> Mapping[str, Any]:
    """Return a run's configuration; empty where it can't be read, which costs a cell of a table alone."""
    from yaml import YAMLError

    from geocompose.runs.bounded_yaml import bounded_yaml

    try:
        config = bounded_yaml(folder.config)
    except (UserError, OSError, ValueError, YAMLError) as error:
        log.warning("%s can't be read: %s", folder.config, error)
        return {}
    return config if isinstance(config, Mapping) else {}


def _at(config: Mapping[str, Any], key: str) -> str | None:
    """Return the value under a dotted key as text; None where there is none, or a whole part."""
    value: Any = config
    for step in key.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    if isinstance(value, Mapping):
        return None
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return json.dumps(value).replace('"', "")
    return str(value)
