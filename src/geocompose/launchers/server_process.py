"""The fork server's first import: it dies with the sweep, and leaves the terminal's signals to it."""

import os
import signal

from geocompose.launchers.parent_death import die_with

# Set while the server is started, to the number of the process that starts it: elsewhere this import does nothing.
MARK = "GEOCOMPOSE_FORK_SERVER_OF"

# The server's number. Cells find it here, because they are copies of the server; None where it was started by others.
server_pid: int | None = None


def _become_server(sweep_pid: int) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    die_with(sweep_pid)
    return os.getpid()


# A cell of a server that could not import this finds the mark too, but it is not the sweep that has started it.
if os.environ.pop(MARK, None) == str(os.getppid()):
    server_pid = _become_server(os.getppid())
