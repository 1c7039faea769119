"""What input files hold, as hashes; contents are read once and remembered."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from geocompose.errors import UserError

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

# A file changed this recently could change again without its time stamp moving on (file systems count in ticks of
# milliseconds, some in two seconds); such a file is hashed but not remembered.
SETTLED_S = 3.0
_FLUSH_EVERY_S = 1.0
_BUSY_TIMEOUT_S = 5.0


def hash_file(path: Path) -> str:
    """Return the sha256 (hex) of what `path` holds; a file unchanged since it was last hashed is not read again.

    Raises:
        UserError: the file is missing, is a folder, can't be read or is being written to.
    """
    with _remembered() as memory:
        return _hash(path, memory)[1]


def fingerprint(files: Iterable[Path], root: Path) -> str:
    """Return one sha256 (hex) over names, sizes and contents of `files`, in any order, each counted once.

    Names are relative to `root`, so that moving the folder changes nothing; a file outside `root` counts under its own
    name without folders. No files give the hash of nothing.

    Raises:
        UserError: a file is missing, is a folder, can't be read or is being written to.
    """
    entries = []
    with _remembered() as memory:
        for path in sorted({os.path.abspath(file) for file in files}):
            size, sha256 = _hash(Path(path), memory)
            entries.append((_name(Path(path), root), size, sha256))
    return hashlib.sha256(json.dumps(sorted(entries)).encode()).hexdigest()


def cache_folder() -> Path:
    """Return the folder for what can be computed again: $GEOCOMPOSE_CACHE, else the user's cache folder."""
    if own := os.environ.get("GEOCOMPOSE_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "geocompose"
    return Path.home() / ".cache" / "geocompose"


def _name(path: Path, root: Path) -> str:
    # As written first: below a root whose files are links into a store, the links' names are the data's names.
    for file, folder in (
        (path, Path(os.path.abspath(root))),
        (Path(os.path.realpath(path)), Path(os.path.realpath(root))),
    ):
        if file.is_relative_to(folder):
            return file.relative_to(folder).as_posix()
    return path.name


def _hash(path: Path, memory: "_Memory") -> tuple[int, str]:
    try:
        before = os.stat(path)
        known = memory.recall(path, before)
        if known is not None:
            return before.st_size, known
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.stat(path)
    except FileNotFoundError as error:
        raise UserError(f"Input file {path} does not exist. Check the path.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder, where a file is needed.") from error
    except OSError as error:
        raise UserError(f"Can't read {path}: {error.strerror}. Check its permissions and its disk.") from error
    if _state(before) != _state(after):
        # What was read is not a state that the file ever had.
        raise UserError(f"Input file {path} changed while it was read. Wait until it is complete, then start again.")
    memory.keep(path, after, sha256)
    return after.st_size, sha256


def _state(stat: os.stat_result) -> str:
    # The change time catches what keeps size and modification time, as `cp -p` or `touch -r` over a file do.
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"


class _Memory:
    """The hashes of earlier runs, in a small database that processes share; where it fails, nothing is remembered."""

    def __init__(self) -> None:
        self._new: list[tuple[bytes, str, str]] = []
        self._flushed = time.monotonic()
        self._database: sqlite3.Connection | None = None
        self._file = Path("hashes.sqlite")
        with self._bypassed_on_failure():
            self._file = cache_folder() / self._file
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._database = _connect(self._file)
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS hashes_1 (path BLOB PRIMARY KEY, state TEXT, sha256 TEXT) WITHOUT ROWID"
            )

    def recall(self, path: Path, stat: os.stat_result) -> str | None:
        """Return the hash of `path`, or None where it isn't known in exactly this state."""
        row = None
        with self._bypassed_on_failure():
            if self._database is not None:
                query = "SELECT sha256 FROM hashes_1 WHERE path = ? AND state = ?"
                row = self._database.execute(query, (self._key(path), _state(stat))).fetchone()
        if row is None or not _is_sha256(row[0]):
            return None
        return str(row[0])

    def keep(self, path: Path, stat: os.stat_result, sha256: str) -> None:
        """Remember a hash, unless the file is so fresh that its next change might not show."""
        if time.time() - stat.st_ctime < SETTLED_S:
            return
        self._new.append((self._key(path), _state(stat), sha256))
        # One transaction a file would wait for the disk each time; one at the end would lose hours when interrupted.
        if time.monotonic() - self._flushed > _FLUSH_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Write what is new."""
        with self._bypassed_on_failure():
            if self._database is not None and self._new:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany("INSERT OR REPLACE INTO hashes_1 VALUES (?, ?, ?)", self._new)
                self._database.execute("COMMIT")
        self._new.clear()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is new and let go of the database."""
        self.flush()
        if self._database is not None:
            self._database.close()

    @staticmethod
    def _key(path: Path) -> bytes:
        return os.fsencode(os.path.abspath(path))

    @contextmanager
    def _bypassed_on_failure(self) -> Iterator[None]:
        import sqlite3

        try:
            yield
        except (OSError, sqlite3.Error, RuntimeError) as error:  # RuntimeError: a user without a home folder
            _warn_once(self._file, str(error))
            if self._database is not None:
                self._database.close()
                self._database = None


def _connect(file: Path) -> "sqlite3.Connection":
    import sqlite3  # only where files are hashed

    return sqlite3.connect(file, timeout=_BUSY_TIMEOUT_S, isolation_level=None)


@contextmanager
def _remembered() -> Iterator[_Memory]:
    memory = _Memory()
    try:
        yield memory
    finally:
        memory.close()


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


@cache
def _warn_once(file: Path, reason: str) -> None:
    log.warning(
        "File hashes can't be remembered in %s (%s): files are hashed anew each time. "
        "Delete that file if it is damaged, or set GEOCOMPOSE_CACHE to a folder that can be written.",
        file,
        reason,
    )
