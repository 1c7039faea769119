"""Signals that ask a sweep to end: taken as a request, so that cells can save what they have."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """The sweep was asked to end and has ended its cells. signal: by which signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


class StopRequest:
    """Which signals have come so far; readable (`fileno`) once there is one, so that a wait for other things ends."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._read

    def clear(self) -> None:
        """Have the next wait end at the next signal alone."""
        os.read(self._read, 4096)

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self.numbers.append(number)
        os.write(self._write, b".")

    def close(self) -> None:
        """Close what was opened."""
        os.close(self._read)
        os.close(self._write)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take SIGINT, SIGTERM and SIGHUP as requests during the block.

    A signal that this process was started to ignore (nohup, a job in the background) stays ignored. Only a main thread
    hears signals; in another one there are no requests.
    """
    request = StopRequest()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, request.hear)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        request.close()
