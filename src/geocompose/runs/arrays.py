"""Counts per tile, as files of arrays."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from geocompose.runs.atomic import write_through


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace `path` by a compressed .npz with `arrays` by name, whole or not at all.

    Raises:
        UserError: see `geocompose.runs.atomic.explained`.
    """
    write_through(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]
