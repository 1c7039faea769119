"""What of a machine each of several workers gets: cores and GPUs. Free of torch."""

import os
import subprocess
from collections.abc import Sequence
from typing import Literal

from geocompose.errors import UserError
from geocompose.runs.machine import num_cores

VISIBLE = "CUDA_VISIBLE_DEVICES"


def num_threads(workers: int) -> int:
    """Return how many threads a worker computes with: OMP_NUM_THREADS where it is set, else a fair share of cores."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else max(1, num_cores() // workers)


def shares_of_gpus(workers: int, gpus: Literal["auto"] | Sequence[int | str] | None) -> list[str | None]:
    """Return, per worker, what CUDA_VISIBLE_DEVICES is set to; None leaves it as it is.

    gpus: auto shares all visible ones out; a list is what is shared, by numbers or names as in CUDA_VISIBLE_DEVICES;
        None lets every worker see all. With more workers than GPUs some workers share one.

    Raises:
        UserError: a GPU of the list is not there, or appears twice.
    """
    if gpus is None:
        return [None] * workers
    there = visible_gpus()
    if gpus == "auto":
        if len(there) < 2 or workers == 1:
            return [None] * workers  # each sees what there is, under the numbers it has now
        chosen = there
    else:
        chosen = [str(each) for each in gpus]
        missing = [each for each in chosen if each not in there]
        if missing or not chosen or len(set(chosen)) < len(chosen):
            raise UserError(
                f"launcher.gpus must be auto, null or a list of different GPUs of this machine "
                f"({', '.join(there) or 'it has none'}); got [{', '.join(chosen)}]."
            )
    if workers >= len(chosen):
        return [chosen[worker % len(chosen)] for worker in range(workers)]
    return [",".join(chosen[worker::workers]) for worker in range(workers)]


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use: CUDA_VISIBLE_DEVICES, or all that NVIDIA's driver lists."""
    if (given := os.environ.get(VISIBLE)) is not None:
        return [each.strip() for each in given.split(",") if each.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number, _ in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]
