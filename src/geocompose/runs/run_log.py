"""run.log and the record's `said`: what a run says, from before there is a folder to write it to.

Three loggers, by where their messages arrive:

    geocompose           what was left out, converted, assumed or allowed: terminal, run.log and record.json
    geocompose.course    how the run itself goes on (begun, resumed, finished already): terminal and run.log
    geocompose.file      what a person need not see on the terminal: run.log
"""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geocompose.runs.atomic import explained

QUIET = logging.getLogger("geocompose.file")
COURSE = logging.getLogger("geocompose.course")
_LOG = logging.getLogger("geocompose")


class _LogFile(logging.FileHandler):
    """A file of messages; where the system refuses one, that is said on the terminal, once, and the run goes on."""

    def __init__(self, path: Path) -> None:
        # A file's name may be any bytes.
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._refused = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say that a message is not in the file."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._refused:
            self._refused = True
            print(
                f"{self.baseFilename} can't be written ({error.strerror}): messages are missing in it.", file=sys.stderr
            )

    def close(self) -> None:
        """Close the file; what a full disk still refuses of it was said."""
        with suppress(OSError):
            super().close()


class RunLog(logging.Handler):
    """Keeps messages until it is opened, then writes them and all later ones to a file.

    lines: what was said, each once and in order; the record's `said` is this very list, so that it grows with it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._waiting: list[logging.LogRecord] = []
        self._file: logging.FileHandler | None = None

    def open(self, path: Path) -> None:
        """Append what was said so far, and from now on everything, to the file at `path`."""
        assert self._file is None, f"{path} is not the first file of this log"
        with explained(path):
            self._file = _LogFile(path)
        self._file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        for record in self._waiting:
            self._file.handle(record)
        self._waiting.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a message."""
        if record.name == _LOG.name and (line := record.getMessage()) not in self.lines:
            self.lines.append(line)
        if self._file is None:
            self._waiting.append(record)
        else:
            self._file.handle(record)

    def hear(self, told: Iterable[str]) -> None:
        """Take what the terminal was told before this log was there."""
        for line in told:
            self.handle(_LOG.makeRecord(_LOG.name, logging.WARNING, __file__, 0, line, (), None))

    def go_on(self, earlier: Iterable[str]) -> None:
        """Put what the earlier parts of a resumed run said before what this part says."""
        self.lines[:] = dict.fromkeys([*earlier, *self.lines])

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()
        super().close()


@contextmanager
def run_log() -> Iterator[RunLog]:
    """Collect our messages, and the tracebacks of failures, during the block; yield the log, to be opened in it."""
    handler = RunLog()
    QUIET.propagate = False
    QUIET.setLevel(logging.INFO)
    level = _LOG.level
    _LOG.setLevel(logging.INFO)  # what is recorded does not depend on how an action was called
    for logger in (_LOG, QUIET):
        logger.addHandler(handler)
    try:
        yield handler
    finally:
        for logger in (_LOG, QUIET):
            logger.removeHandler(handler)
        _LOG.setLevel(level)
        handler.close()
