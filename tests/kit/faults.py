"""A disk that refuses: one of the writes that are done below a folder fails as the system would have it."""

import builtins
import os
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# What changes a file or a folder, and where among its arguments the path or the descriptor stands.
_CALLS = {"fsync": 0, "replace": 1, "mkdir": 0, "pwrite": 0, "ftruncate": 0, "unlink": 0}


class Disk:
    """Refuses writes below a folder. count: of those that were tried so far. refused: which were."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = str(folder.absolute())
        self.count = 0
        self.refused: list[str] = []
        self._from, self._until, self._error = -1, -1, 0
        for name, place in _CALLS.items():
            patch.setattr(os, name, self._guarded(name, getattr(os, name), itemgetter(place)))
        patch.setattr(os, "open", self._guarded("open", os.open, _to_be_written))
        patch.setattr(builtins, "open", self._guarded("open", open, _opened_to_write))

    def refuse(self, place: int, error: int, *, once: bool = False) -> None:
        """Refuse the write of this number, counted from now on, and unless `once` all after it."""
        self.count, self.refused = 0, []
        self._from, self._until, self._error = place, place if once else 10**9, error

    def heal(self) -> None:
        """Refuse nothing any more."""
        self._until = -1

    def _guarded(self, name: str, function: Callable[..., Any], target: Callable[[Any], Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            path = _path(target(arguments))
            # A disk says first that a folder is there; and filelock tries by a nameless file in it what a disk can.
            there = name in ("mkdir", "open") and path is not None and os.path.isdir(path)
            if path is not None and path.startswith(self.folder) and not there:
                place, self.count = self.count, self.count + 1
                if self._from <= place <= self._until:
                    self.refused.append(f"{name} {path}")
                    raise OSError(self._error, os.strerror(self._error), path)
            return function(*arguments, **named)

        return call


def _to_be_written(arguments: Any) -> Any:
    return arguments[0] if arguments[1] & _WRITING else None


def _opened_to_write(arguments: Any) -> Any:
    return arguments[0] if len(arguments) > 1 and set(str(arguments[1])) & set("wax+") else None


def _path(target: Any) -> str | None:
    if isinstance(target, int):
        try:
            return os.readlink(f"/proc/self/fd/{target}")
        except OSError:
            return None
    return None if target is None else os.path.abspath(os.fspath(target))
