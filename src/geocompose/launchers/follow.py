"""A log shown on the terminal while it is written."""

import codecs
import sys
from pathlib import Path


class Follower:
    """Shows what is appended to a file from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown = path.stat().st_size if path.exists() else 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def show(self) -> None:
        """Write what is new to the standard output."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._shown)
                new = file.read()
        except OSError:
            return  # it is not begun yet; or the job itself says why it can't write it
        self._shown += len(new)
        if new:
            sys.stdout.write(self._decoder.decode(new))
            sys.stdout.flush()
