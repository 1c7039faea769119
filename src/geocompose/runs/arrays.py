"""Counts per tile, as files of arrays."""

import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from geocompose.errors import UserError, in_one_line, size_in_words
from geocompose.runs.atomic import explained, write_through

# Of predictions a run keeps 256 MB by default, and more where it is told to.
MOST_BYTES = 4 * 2**30
# What numpy and zipfile raise of archives that are cut short, foreign or forged.
_DAMAGES = (
    *(ValueError, EOFError, KeyError, AttributeError, MemoryError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace `path` by a compressed .npz with `arrays` by name, whole or not at all.

    Raises:
        UserError: see `geocompose.runs.atomic.explained`.
    """
    write_through(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def read_arrays(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz by name; those of `names` that are there, or all. Nothing in it is executed.

    Raises:
        UserError: the file is damaged, holds other things than arrays, or more than MOST_BYTES of them.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a file.")
        with explained(path, "read"), np.load(path, allow_pickle=False) as kept:
            chosen = [name for name in kept.files if names is None or name in names]
            held = {info.filename.removesuffix(".npy"): info.file_size for info in kept.zip.infolist()}
            size = sum(held[name] for name in chosen)
            if size > MOST_BYTES:
                raise UserError(
                    f"{path} holds {size_in_words(size)} of numbers, and at most {size_in_words(MOST_BYTES)} are read. "
                    "A run writes less: the file is foreign."
                )
            return {name: kept[name] for name in chosen}
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing, which the run should have left.") from error
    except _DAMAGES as error:
        raise UserError(
            f"{path} is damaged ({in_one_line(error)}): it can't be read as the arrays that a run leaves. Run the "
            "run's command again with rerun=true to compute it anew."
        ) from error
