"""Who reads samples: threads of the training's process, or worker processes, and how many. Free of torch."""

from dataclasses import dataclass
from typing import Any, Literal

from geocompose.errors import counted
from geocompose.runs.machine import num_cells, num_cores

MOST_THREADS = 4  # a thread reads some 100 samples of 224 px a second; more wait for Python's lock
MOST_AUTO_WORKERS = 8


@dataclass(frozen=True)
class Readers:
    """How samples are read. None of it changes a sample.

    processes: worker processes; with 0 threads of the training's process read ahead. threads: their number; with 0 of
        both nothing is read ahead.
    why: why `data.num_workers=auto` chose so; empty where a number was given.
    """

    processes: int = 0
    threads: int = 1
    why: str = ""

    @property
    def in_words(self) -> str:
        """Return who reads, and why."""
        who = (
            counted(self.processes, "worker process", "worker processes")
            if self.processes
            else f"no worker processes, {counted(self.threads, 'thread')} of this one"
        )
        return f"data.num_workers=auto: {who}, because {self.why}."

    def as_record(self) -> dict[str, Any]:
        """Return what a record keeps."""
        return {"num_workers": self.processes, "threads": self.threads, **({"why": self.why} if self.why else {})}


def readers(
    num_workers: int | Literal["auto"], *, in_memory: bool, processes_here: int = 1, by_threads: bool = True
) -> Readers:
    """Return who reads samples.

    in_memory: whether nothing is decoded for a sample. processes_here: of the same run on this machine. by_threads:
    whether threads may read while the model computes.
    """
    cores = max(1, num_cores() // (num_cells() * processes_here))
    threads = min(cores, MOST_THREADS) if by_threads else 0
    if num_workers != "auto":
        return Readers(num_workers, 0 if num_workers else threads)
    if in_memory:
        return Readers(0, threads, "the pixels are in memory")
    if cores <= MOST_THREADS:
        return Readers(0, threads, f"{counted(cores, 'core')} can be used")
    return Readers(
        min(cores - 1, MOST_AUTO_WORKERS), 0, f"pixels are decoded for each sample, and {cores} cores can be used"
    )
