"""A run's lock: one process computes it; the system frees the lock when that process dies, however it dies."""

import errno
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geocompose.errors import UserError
from geocompose.runs.atomic import explained, write_json
from geocompose.runs.environment import utc_now

LOCK_NAME = ".lock"
HOLDER_NAME = ".holder.json"
# Who only looks whether a lock is held holds it for microseconds; that must not pass for a process at work.
_GRACE_S = 0.25


class RunHeldError(UserError):
    """Another process is computing this run."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of the run in `folder`, which is created where it is missing.

    Raises:
        RunHeldError: a living process holds it; says which and since when.
        UserError: the folder can't be written.
    """
    import filelock  # takes 30 ms, and is not needed to read runs

    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / LOCK_NAME)
    try:
        with explained(folder / LOCK_NAME):
            lock.acquire(timeout=_GRACE_S, poll_interval=0.02)
    except filelock.Timeout as error:
        raise RunHeldError(
            f"{folder} is being computed by {holder(folder)}. Wait for it to finish, or stop that process; "
            "then run the same command again."
        ) from error
    note = folder / HOLDER_NAME
    try:
        write_json(note, {"pid": os.getpid(), "host": platform.node(), "since": utc_now()})
        yield
    finally:
        # The note is for people; only the lock decides. One that a dying process leaves is overwritten by the next.
        with suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def is_held(folder: Path) -> bool:
    """Return whether a living process, this one included, holds the lock; needs no permission to write.

    Raises:
        UserError: the system can't tell, such as NFS whose lock service is gone.
    """
    path = folder / LOCK_NAME
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        with explained(path, "look at"):
            return _is_held(handle)
    finally:
        os.close(handle)


def _is_held(handle: int) -> bool:
    try:
        # Shared, so that two who look at once don't take each other for the holder; closing the handle lets go.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        # ENOSYS: a file system without locks, where filelock makes do with a file that exists while the lock is held.
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.ENOSYS):
            return True
        # ENOTSUP: a file system that refuses locks; nobody holds one there.
        if error.errno == errno.ENOTSUP:
            return False
        raise
    return False


def holder(folder: Path) -> str:
    """Return who holds the lock in words, such as `process 4711 on node3 since 2026-05-04T12:00:00Z`."""
    try:
        note = json.loads((folder / HOLDER_NAME).read_text(encoding="utf-8"))
        return f"process {note['pid']} on {note['host']} since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        # It took the lock a moment ago and has not written its note yet, or the note was removed by hand.
        return "another process"
