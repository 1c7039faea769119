"""The folders of kept features: who computes in one, who reads one, and which are removed to make room."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from geocompose.errors import UserError, size_in_words
from geocompose.runs.atomic import explained, write_json
from geocompose.runs.run_log import COURSE

log = logging.getLogger("geocompose")

MANIFEST = "manifest.json"
_READ = ".read"  # locked by those that read; its time stamp says when that was last
_COMPUTED = ".computed"  # locked by the one that computes
_GRACE_S = 0.25
_OF_FREE = 0.9  # the share of a disk's free space that features may take


@contextmanager
def opened(folder: Path, manifest: Mapping[str, Any]) -> Iterator[None]:
    """Keep a folder, which is made where it is missing, from being removed while the block lasts.

    manifest: what its features depend on, written beside them for people.

    Raises:
        UserError: the folder can't be written.
    """
    with explained(folder):
        file = _locked(folder)
        try:
            os.utime(folder / _READ)
            if not (folder / MANIFEST).is_file():
                write_json(folder / MANIFEST, dict(manifest))
            yield
        finally:
            file.close()


def _locked(folder: Path) -> IO[bytes]:
    """Return the folder's file of readers, locked together with others."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / _READ, "ab")  # noqa: SIM115 - closed by who holds it
        fcntl.flock(file, fcntl.LOCK_SH)
        if (folder / _READ).exists() and os.path.samestat(os.fstat(file.fileno()), os.stat(folder / _READ)):
            return file
        file.close()  # the folder was removed in between: make it again


@contextmanager
def computing(folder: Path) -> Iterator[None]:
    """Let one process at a time compute in a folder; others wait, and say so."""
    import filelock

    lock = filelock.FileLock(folder / _COMPUTED)
    try:
        lock.acquire(timeout=_GRACE_S)
    except filelock.Timeout:
        COURSE.info("Another process computes features in %s: this one waits for it.", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def make_room(place: Path, wanted: int, most: int, keep: Path) -> None:
    """Remove the folders of `place` that were used least recently, until `wanted` bytes more fit into `most`.

    Folders that are in use, and `keep`, are left.

    Raises:
        UserError: even so they don't fit, or the disk has no room for them.
    """
    held = {folder: _bytes(folder) for folder in place.iterdir() if (folder / _READ).is_file()}
    idle = sorted((folder for folder in held if folder != keep), key=lambda folder: (folder / _READ).stat().st_mtime)
    for folder in idle:
        if sum(held.values()) + wanted <= most:
            break
        if _removed(folder):
            freed = size_in_words(held.pop(folder))
            log.info("Kept features in %s (%s) were removed to make room (cache.max_gb).", folder, freed)
    needs = f"Features of {size_in_words(wanted)} don't fit"
    if sum(held.values()) + wanted > most:
        used = size_in_words(sum(held.values()))
        raise UserError(
            f"{needs} into {place}, which may hold {size_in_words(most)} and holds {used} that are in use. Raise "
            "cache.max_gb, write cache.dtype=fp16 (half of it) or data.dihedral=false (one view of each tile), or "
            "cache=none."
        )
    free = shutil.disk_usage(place).free
    if wanted > _OF_FREE * free:
        raise UserError(
            f"{needs} on the disk of {place}, which has {size_in_words(free)} left. Choose another one with "
            "cache.folder, write cache.dtype=fp16 (half of it), or cache=none."
        )


def _removed(folder: Path) -> bool:
    """Remove a folder that nobody reads; return whether it was."""
    with open(folder / _READ, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        (folder / _READ).unlink(missing_ok=True)  # who waits for this lock sees that the folder is gone
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _bytes(folder: Path) -> int:
    found = 0
    for path in folder.rglob("*.npy"):
        try:
            found += path.stat().st_size
        except FileNotFoundError:  # removed by another process in between
            continue
    return found
