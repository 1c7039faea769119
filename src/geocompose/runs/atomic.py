"""Files that are written whole or not at all."""

import errno
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from geocompose.errors import UserError

_ADVICE = {
    errno.ENOSPC: "the disk is full. Free some space, then run the same command again",
    errno.EDQUOT: "your disk quota is used up. Free some space, then run the same command again",
    errno.EROFS: "the file system is read-only. Choose a folder that can be written",
    errno.EACCES: "permission denied. Change its permissions, or choose another folder",
    errno.EPERM: "the operation is not permitted. Change its permissions, or choose another folder",
    errno.ENOTDIR: "a file stands where a folder is needed. Move that file, or choose another folder",
    errno.EEXIST: "a file stands where a folder is needed. Move that file, or choose another folder",
    errno.ENAMETOOLONG: "the name is too long for this file system. Choose a shorter one",
    errno.EISDIR: "a folder stands where a file is needed. Move that folder",
    errno.ELOOP: "a link leads back to itself. Remove it",
    errno.EFBIG: "the file would be larger than the file system or your limit (ulimit -f) allows. Raise the limit",
    errno.EMFILE: "too many files are open. Raise your limit (ulimit -n), or lower data.num_workers",
    errno.ESTALE: "the network drive has lost it. Connect it again, then run the same command again",
    errno.ENOTSUP: "the file system does not know what was asked of it, such as locks. Choose another folder",
    errno.ENOLCK: "the file system has no locks to give, such as NFS without its lock service. Choose another folder",
    errno.EIO: "the disk reports an input/output error. Check the disk, then run the same command again",
}


class RefusedError(UserError):
    """The system refuses to read or write a file: nobody's setting is wrong, and the same command may go on later."""


@contextmanager
def explained(path: Path, verb: str = "write") -> Iterator[None]:
    """Turn what the operating system refuses inside the block into one message that names `path`.

    Raises:
        RefusedError: the disk is full, read-only or broken, a permission is lacking, a file stands in a folder's place.
    """
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        raise RefusedError(f"Can't {verb} {path}: {advice}.") from error


@contextmanager
def refusals_told(place: str | Path = "a file") -> Iterator[None]:
    """Turn what the system refuses inside the block, and nobody explained, into one message that names the file.

    place: what is named where the system doesn't say which file it was.

    Raises:
        RefusedError: see `explained`; or a file is not there any more.
    """
    try:
        yield
    except OSError as error:
        gone = error.errno == errno.ENOENT and error.filename is not None
        advice = "it is not there (any more)" if gone else _ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        raise RefusedError(f"Can't use {error.filename or place}: {advice}.") from error


def write_text(path: Path, text: str) -> None:
    """Replace `path` by a file holding `text` (UTF-8), so that a reader meets the old file or the new one, never half.

    The text is on the disk when this returns. After a failure the old file or the new one stands whole, with nothing
    left beside it.

    Raises:
        UserError: see `explained`.
    """
    # File names that aren't UTF-8 arrive as lone surrogates: \udcXX is written for each such byte.
    content = text.encode("utf-8", "backslashreplace")
    write_through(path, lambda file: file.write(content))


def write_through(path: Path, write: Callable[[IO[bytes]], object], *, keep: Path | None = None) -> None:
    """Replace `path` by what `write` writes into a file, with the promises of `write_text`.

    keep: where the file that is replaced stays; while the two change places, at least one of them is there, whole.

    Raises:
        UserError: see `explained`.
    """
    # In the same folder, because a rename is whole only within a file system. The name is hidden and ends in .tmp: what
    # a power cut leaves is recognised and cleared by the next run.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    with explained(path):
        try:
            with open(temporary, "xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            if keep is not None and path.exists():
                os.replace(path, keep)
            os.replace(temporary, path)
        finally:
            # A file system that turned read-only refuses this too; the error worth telling is the first one.
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_json(path: Path, value: object) -> None:
    """Replace `path` by `value` as strictly valid JSON, with the promises of `write_text`.

    Numpy's and torch's single numbers and paths are taken as the plain values they stand for. NaN and the infinities,
    which JSON lacks, are written as null.

    Raises:
        UserError: see `explained`.
    """
    text = json.dumps(_plain(value), indent=2, allow_nan=False, ensure_ascii=False)
    # File names that aren't UTF-8 arrive as lone surrogates; written as \udcXX they are valid JSON and are read back.
    write_text(path, text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` (created, replaced, removed) on the disk when this returns."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems can't do this for a folder; they write names through at once.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Have every file below `folder` on the disk when this returns; links are not followed.

    Raises:
        UserError: see `explained`.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_symlink() or not path.is_file():
                continue
            with explained(path), open(path, "rb") as file:
                os.fsync(file.fileno())
        with explained(Path(parent)):
            sync_folder(Path(parent))


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        plain = {str(key): _plain(item) for key, item in value.items()}
        assert len(plain) == len(value), f"two keys of one mapping are written alike in JSON: {list(value)}"
        return plain
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    # numpy's scalars and 0-d tensors, known by their method: nothing here imports either package
    item = getattr(value, "item", None)
    if callable(item):
        return _plain(item())
    raise TypeError(f"{type(value).__name__} can't be recorded as JSON: {value!r}.")
