"""What of a machine this process may use: cores and memory, by what the system and a container say. Free of torch."""

import os
from pathlib import Path

CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")  # of this process's container; cgroup v2 in the kernel's documentation
MEMORY_LIMIT, MEMORY_USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
MEMORY = Path("/proc/meminfo")
SHARED_BY = "GEOCOMPOSE_CELLS"  # how many cells of a sweep are computed on this machine at a time


def num_cores() -> int:
    """Return how many cores this process may use, by its affinity and, in a container, by the limit of its time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CPU_LIMIT.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def num_cells() -> int:
    """Return how many cells of a sweep share this machine with this process, itself included; 1 outside of sweeps."""
    given = os.environ.get(SHARED_BY, "")
    return int(given) if given.isdecimal() and int(given) else 1


def free_memory() -> int | None:
    """Return how many bytes can be had without another process losing any; None where the system doesn't say."""
    found = [free for free in (_of_system(), _of_container()) if free is not None]
    return min(found, default=None)


def _of_system() -> int | None:
    try:
        lines = MEMORY.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _of_container() -> int | None:
    try:
        return max(0, int(MEMORY_LIMIT.read_text()) - int(MEMORY_USED.read_text()))
    except (OSError, ValueError):  # there is none, or "max"
        return None
