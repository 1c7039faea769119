"""Patterns of options on the command line: `backbone=resnet*` stands for all options of the group that it fits."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from geocompose.configuration.diagnosis import groups, options
from geocompose.errors import UserError, choices

# `*` and `?` as in file names; what is in brackets, braces, quotes or a call is Hydra's own language.
_PATTERNS = re.compile(r"[\w./*?@-]+(,[\w./*?@-]+)*")
_DOCTOR_S = re.compile(r"^action\.(backbone|decoder|task)s=\[?([^\[\]]*)\]?$")
_WILD = re.compile(r"[*?]")


def matching(group: str, patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names that any of the patterns fits, in the names' order.

    Raises:
        UserError: a pattern fits none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"{group}={pattern} matches no option. {choices(pattern.strip('*?'), names)}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def expanded(arguments: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Return the command line's arguments with the options in place of each pattern.

    `decoder=unet,fcn*` becomes `decoder=unet,fcn`: those before a pattern stay where they are, and none comes twice.

    folders: of config groups: `conf/`, and those that were typed.

    Raises:
        UserError: a pattern fits no option.
    """
    known = groups(folders[0])
    return [_expanded(text, known, folders) for text in arguments]


def as_doctor_takes_it(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the options that the doctor is to try, `backbone=resnet18,resnet50`, as its own."""
    return [
        f"action.{group}s=[{value}]" if group in ("backbone", "decoder", "task") and value else text
        for text in arguments
        for group, _, value in [text.partition("=")]
    ]


def as_doctor_is_asked(overrides: Iterable[str]) -> list[str]:
    """Return overrides as they are typed: the reverse of `as_doctor_takes_it`."""
    return [_DOCTOR_S.sub(lambda found: f"{found[1]}={found[2].replace(' ', '')}", text) for text in overrides]


def _expanded(text: str, known: Sequence[str], folders: Sequence[Path]) -> str:
    group, _, value = text.partition("=")
    if group not in known or not _WILD.search(value) or not _PATTERNS.fullmatch(value):
        return text
    names = sorted({name for folder in folders for name in options(folder, group)})
    found: dict[str, None] = {}
    for each in value.split(","):
        found |= dict.fromkeys(matching(group, [each], names) if _WILD.search(each) else [each])
    return f"{group}={','.join(found)}"
