"""How much memory a process holds together with those that it has started."""

import psutil


def memory_gb(pid: int) -> float:
    """Return the resident memory (GiB) of a process and all below it; 0 where it has gone.

    Memory that several processes share (libraries, what a fork copies only when it is written to) is counted in equal
    parts where the system says how many share it (Linux: PSS), and in full for each elsewhere.
    """
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(map(_held, family)) / 2**30


def _held(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.AccessDenied:
        full = process.memory_info()
    except psutil.NoSuchProcess:
        return 0
    return getattr(full, "pss", full.rss)
