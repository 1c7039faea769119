"""Whatever the disk refuses while a run's folder is written: one message, and the file before or after, whole."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geocompose.errors import UserError
from geocompose.runs import Record, RunFolder, atomic
from tests.kit.run_folders import begin, complete

REFUSALS = [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT]


def refusing(monkeypatch: pytest.MonkeyPatch, place: int, refusal: int) -> list[int]:
    """Have the call of this number fail, of all those that open, sync or rename; the list has a number per call."""
    seen: list[int] = []

    def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            seen.append(len(seen))
            if seen[-1] == place:
                raise OSError(refusal, os.strerror(refusal))
            return function(*arguments, **named)

        return call

    for name in ("fsync", "replace", "open"):
        monkeypatch.setattr(atomic.os, name, guarded(getattr(os, name)))
    return seen


def compute(run: RunFolder) -> None:
    with run.lock():
        record = begin(run)
        run.best.write_bytes(b"weights")
        run.save(record)
        run.finish(record)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_in_any_write_is_told_and_the_same_command_goes_on(
    refusal: int, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(run)
    with monkeypatch.context() as patched:
        seen = refusing(patched, -1, refusal)
        compute(run)
    calls = len(seen)
    assert calls > 10
    for place in range(calls):
        with monkeypatch.context() as patched:
            refusing(patched, place, refusal)
            with pytest.raises(UserError) as told:
                compute(run)
        assert str(run.path) in str(told.value)
        assert len(str(told.value).splitlines()) == 1
        assert run.status() in ("absent", "interrupted", "completed")
        if run.record.exists():
            Record.read(run.record)  # whole, whichever it is
        compute(run)
        assert run.status() == "completed"


def test_a_folder_that_can_only_be_read_is_told(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    complete(run)

    def refuse(*arguments: Any, **named: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(atomic.os, "replace", refuse)
    with pytest.raises(UserError, match=r"Can't write .*: the file system is read-only"):
        compute(run)
    assert not list(Path(run.path).glob(".*.tmp"))
