"""Overrides of the command line, taken apart: what tells a sweep's cells from each other, and what is Hydra's own."""

from collections.abc import Sequence

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from geocompose.errors import UserError


def key_and_value(override: str) -> tuple[str, str]:
    """Return an override's key, without Hydra's plus signs, and its value as text."""
    key, _, value = override.partition("=")
    return key.lstrip("+"), value


def repeated(overrides: Sequence[str]) -> dict[str, str]:
    """Return the keys that are given more than once, each with the value that counts: the last."""
    pairs = [key_and_value(text) for text in overrides if "=" in text]
    keys = [key for key, _ in pairs]
    return {key: value for key, value in pairs if keys.count(key) > 1}


def flag_names() -> list[str]:
    """Return the program's flags, such as --multirun and -m."""
    return [name for action in get_args_parser()._actions for name in action.option_strings]


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Return a command line with flags (-m, --config-dir DIR, ...) before the overrides, as Hydra's parser needs it."""
    takes_value = {
        name
        for action in get_args_parser()._actions
        for name in action.option_strings
        if action.nargs is None  # a flag that stands alone has 0
    }
    flags: list[str] = []
    overrides: list[str] = []
    rest = iter(arguments)
    for text in rest:
        if not text.startswith("-"):
            overrides.append(text)
            continue
        flags.append(text)
        if text in takes_value:
            flags += [value for value in [next(rest, None)] if value is not None]
    return [*flags, *overrides]


def check_hydra_keys(overrides: Sequence[str]) -> None:
    """Refuse new keys for Hydra itself, which would change nothing.

    Raises:
        UserError: an override adds a key below `hydra`.
    """
    for text in overrides:
        key = text.partition("=")[0]
        if text.startswith("+") and key.lstrip("+").partition(".")[0] == "hydra" and "@" not in key:
            raise UserError(f"{text}: hydra has no such key, and a new one would change nothing. Leave it out.")


def check_no_sweep(overrides: Sequence[str]) -> None:
    """Refuse several values of a key on a command line without -m.

    Raises:
        UserError: names the override, and how a sweep and a list are written.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException:
        return  # what can't be read is told later
    for one in parsed:
        if one.is_sweep_override():
            key, value = key_and_value(str(one.input_line))
            listed = f" If one list is meant, write '{key}=[{value}]'." if "." in key and "(" not in value else ""
            raise UserError(f"{one.input_line} has several values. To run one after another, add -m.{listed}")


def swept_keys(cells: Sequence[Sequence[str]]) -> list[str]:
    """Return the keys that have not the same value in all cells, in the order of the command line."""
    values = [dict(map(key_and_value, overrides)) for overrides in cells]
    keys = dict.fromkeys(key for found in values for key in found)
    return [key for key in keys if len({found.get(key) for found in values}) > 1]


def own_overrides(overrides: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Return what Hydra needs of a sweep's overrides for the sweep's own configuration: options of groups, and its own.

    Hydra composes that configuration without what is swept, where `data.root=DIR` may have no place yet because the
    option that it belongs to is swept over. Values are for the cells alone.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException:
        return list(overrides)  # Hydra says what is wrong with them
    kept = [one for one in parsed if one.is_hydra_override() or one.key_or_group in groups]
    return [one.input_line for one in kept if one.input_line is not None]


def says_how(override: str) -> bool:
    """Return whether an override says how one command computes, and nothing of the run: a launcher, a search."""
    return key_and_value(override)[0].partition(".")[0] in ("launcher", "rerun", "retry", "search")
