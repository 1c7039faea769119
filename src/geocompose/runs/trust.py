"""What is read from a file is data: which `_target_`s it may name, and what else would make it execute something.

Trusted are the command line, the package's own conf/ and a folder typed as --config-dir. A run folder, a record, an
imported configuration or a checkpoint is a stranger's: whatever Hydra would import, call or resolve in it has to be one
of the targets that conf/ names in that group, or one that the user has typed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from geocompose.errors import UserError, nearest

_NAMED = re.compile(r"\b_target_:\s*['\"]?([A-Za-z_][\w.]*)")
_COMMENT = re.compile(r"(?:^|\s)#.*")
# What a part may hold beside its target: it only says that the factory completes the part.
_HARMLESS = ("_partial_",)
# What one place alone may hold, since an option of conf/ has it there: that Hydra leaves what is below to the part.
_HARMLESS_AT = ("data._recursive_",)
# Arguments whose text is imported, wherever they stand and with whatever before the name: what may stand there unasked.
IMPORTED = "final_act"
_ACTIVATION = re.compile(r"torch\.nn(\.modules\.[a-z]\w*)?\.[A-Z]\w*")
# Groups whose nodes hold nodes of other groups.
_ALSO = {"auxiliary": ("decoder", "head")}
MOST_VALUES = 100_000
DEEPEST = 40


@dataclass(frozen=True)
class Trust:
    """Whom to believe.

    conf: folders of config groups that are trusted: the package's own conf/, and those typed as --config-dir.
    typed: targets that the user has named, such as `my_lab.Net`: allowed in every group.
    wanting: what a refusal names beside the target that it is about.
    """

    conf: Sequence[Path]
    typed: Sequence[str] = ()
    wanting: Sequence[str] = ()

    def allowed(self, group: str) -> set[str]:
        """Return the targets that a file may name in a group."""
        groups = (group, *_ALSO.get(group, ()))
        return {*self.typed, *(target for name in groups for target in self._targets.get(name, ()))}

    def check(self, config: Mapping[str, Any], file: Path | str) -> None:
        """Refuse a configuration that would execute what nobody typed; nothing of it is imported.

        config: nodes by their group. file: where it was read, for errors.

        Raises:
            UserError: a target that is not allowed, another key for Hydra, an interpolation, or a key that is not a
            text; says where.
        """
        believed = self._with_all(config)
        for group, node in config.items():
            believed._check_key(group, node, str(group), file, set())
            believed.check_part(str(group), str(group), node, file)

    def check_part(self, group: str, place: str, part: object, file: Path | str) -> None:
        """Refuse one part of a group, such as a neck out of a record; see `check`. place: where it stands."""
        self._check(place, part, file, self.allowed(group))

    @cached_property
    def _targets(self) -> dict[str, set[str]]:
        """The targets that the trusted folders name, by group."""
        found: dict[str, set[str]] = {}
        for folder in self.conf:
            for path in sorted(folder.glob("*/**/*.yaml")):
                group = path.relative_to(folder).parts[0]
                text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
                found.setdefault(group, set()).update(_NAMED.findall(text))
        return found

    def untrusted(self, config: Mapping[str, Any]) -> list[str]:
        """Return the targets of a configuration that would have to be named, as they come."""
        found = (
            target
            for group, node in config.items()
            for target in _targets_in(node)
            if target not in self.allowed(str(group))
        )
        return list(dict.fromkeys(found))

    def _with_all(self, config: Mapping[str, Any]) -> "Trust":
        """Return the same trust, whose refusal names all that would have to be trusted at once."""
        return replace(self, wanting=tuple(self.untrusted(config)))

    def _check(self, place: str, value: object, file: Path | str, allowed: set[str]) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                self._check_key(key, inner, f"{place}.{key}", file, allowed)
                self._check(f"{place}.{key}", inner, file, allowed)
        elif isinstance(value, list | tuple):
            for number, inner in enumerate(value):
                self._check(f"{place}[{number}]", inner, file, allowed)
        elif isinstance(value, str) and "${" in value:
            raise UserError(
                f"{file}: {place} holds the interpolation {value!r:.200}, which would be resolved on this machine. "
                "Write its value in its place."
            )

    def _check_key(self, key: object, value: object, place: str, file: Path | str, allowed: set[str]) -> None:
        if not isinstance(key, str):
            raise UserError(f"{file}: {place} has the key {key!r}; keys of a configuration are texts.")
        # A key with dots in it becomes nested ones where a configuration is written anew, as at an import.
        steps = key.split(".")
        if key == "_target_":
            if not isinstance(value, str) or value not in allowed:
                self._refuse(str(value), place, file, allowed)
        elif key in _HARMLESS or place in _HARMLESS_AT:
            if not isinstance(value, bool):
                raise UserError(f"{file}: {place} is true or false; got {value!r:.80}.")
        elif any(step.startswith("_") for step in steps):
            raise UserError(
                f"{file}: {place} is not a setting that a part has: keys that begin with _ tell Hydra what to do, and "
                "in a file there may only be _target_ and _partial_. Remove it."
            )
        elif (
            steps[-1].endswith(IMPORTED)
            and isinstance(value, str)
            and value not in self.typed
            and not _ACTIVATION.fullmatch(value)
        ):
            self._refuse(value, place, file, ())

    def _refuse(self, target: str, place: str, file: Path | str, allowed: Iterable[str]) -> None:
        guess = nearest(target, list(allowed), cutoff=0.8)
        hint = f" Did it mean {guess}?" if guess else ""
        raise UserError(
            f"{file}: {place} names {target!r:.200}, which is not one of the parts that conf/ has in this place. It "
            f"was not imported.{hint} If you know this code and trust it, write "
            f"'action.trust=[{','.join(dict.fromkeys([*self.typed, *self.wanting, target]))[:400]}]'."
        )


def _targets_in(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(target := node.get("_target_"), str):
            yield target
        for inner in node.values():
            yield from _targets_in(inner)
    elif isinstance(node, list | tuple):
        for inner in node:
            yield from _targets_in(inner)


def check_size(content: object, file: Path | str) -> None:
    """Refuse what is larger or deeper than any configuration or record, before anything walks through it.

    Raises:
        UserError: more than 100,000 values, or mappings and lists more than 40 deep.
    """
    # Counted as they would be built: a YAML alias counts each time that it is used.
    count, stack = 0, [(content, 0)]
    while stack:
        value, depth = stack.pop()
        count += 1
        if count > MOST_VALUES:
            raise UserError(too_many(file))
        if depth > DEEPEST:
            raise UserError(too_deep(file))
        inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        stack.extend((each, depth + 1) for each in inner)


def too_many(file: Path | str) -> str:
    """Return the answer to a file that is larger than any configuration or record."""
    return f"{file} holds more than {MOST_VALUES:,} values; a configuration has hundreds. It is damaged."


def too_deep(file: Path | str) -> str:
    """Return the answer to a file that is nested deeper than any configuration or record."""
    return f"{file} is nested more than {DEEPEST} deep; a configuration is less than ten. It is damaged."
