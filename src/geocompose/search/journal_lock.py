"""The lock of a journal: freed by the system when its holder dies, and what a kill has cut short is cut off."""

import os
from pathlib import Path


class JournalLock:
    """What Optuna's journal takes around each line that it appends; between processes, by `flock`.

    Optuna's own locks are files that outlive a killed holder for half a minute, and a line that a kill or a full disk
    has cut short would spoil the one that is written behind it.
    """

    def __init__(self, journal: Path) -> None:
        import filelock  # takes 30 ms

        self._journal = journal
        self._lock = filelock.FileLock(journal.with_name(f".{journal.name}.lock"))

    def acquire(self) -> bool:
        """Take the lock, however long that takes."""
        self._lock.acquire(poll_interval=0.01)
        _cut_off(self._journal)
        return True

    def release(self) -> None:
        """Give it back."""
        self._lock.release()


def _cut_off(path: Path) -> None:
    """Remove what stands behind the last end of a line."""
    with open(path, "rb+") as file:
        end = file.seek(0, os.SEEK_END)
        if not end:
            return
        start = end
        while start > 0:
            start = max(0, start - 4096)
            file.seek(start)
            found = file.read(4096).rfind(b"\n")
            if found >= 0:
                if start + found + 1 < end:
                    file.truncate(start + found + 1)
                return
        file.truncate(0)
