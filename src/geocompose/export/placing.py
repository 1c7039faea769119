"""An export takes its place whole or not at all, be it a file or a folder; free of torch."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geocompose.errors import UserError
from geocompose.runs.atomic import RefusedError, explained, sync_folder, sync_tree

MANIFEST = "manifest.json"


def check_place(destination: Path, ending: str, *, overwrite: bool) -> None:
    """Refuse a place that an export can't take.

    ending: of a file; empty for a folder.

    Raises:
        UserError: another ending, a link, something that is there already, or a folder that is not an export.
    """
    if ending and destination.suffix != ending:
        raise UserError(f"action.output={destination} must end in {ending}: write {destination.with_suffix(ending)}.")
    if destination.is_symlink():
        raise UserError(f"action.output={destination} is a link to {destination.readlink()}. Give another name.")
    if not destination.exists():
        return
    if destination.is_dir() != (not ending):
        what = "folder" if destination.is_dir() else "file"
        raise UserError(f"action.output={destination} is a {what} that is there already. Give another name.")
    if not overwrite:
        raise UserError(f"action.output={destination} exists already; action.overwrite=true replaces it.")
    if destination.is_dir() and any(destination.iterdir()) and not (destination / MANIFEST).is_file():
        raise UserError(
            f"action.output={destination} is not the folder of an earlier export: it has no {MANIFEST}. It is not "
            "replaced. Give another name."
        )


@contextmanager
def placed(destination: Path) -> Iterator[Path]:
    """Yield a path beside `destination` to write a file or a folder to; it takes the place when the block ends.

    What was there before (see `check_place`) stands until then. After a failure in the block it stands still, and what
    was written is removed.

    Raises:
        UserError: the disk is full, or refuses; see `geocompose.runs.atomic.explained`.
    """
    name = f".{destination.name}.{os.getpid()}-{os.urandom(4).hex()}"
    temporary, earlier = (destination.with_name(f"{name}{end}") for end in (".tmp", ".old.tmp"))
    with explained(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _sync(temporary)
            if destination.is_dir():  # a folder can't be renamed over one that holds something
                os.replace(destination, earlier)
            os.replace(temporary, destination)
            sync_folder(destination.parent)
        except RefusedError as error:  # it names the path that is gone now
            raise RefusedError(str(error).replace(str(temporary), str(destination))) from error
        finally:
            # A file system that turned read-only refuses this too; the error worth telling is the first one.
            with suppress(OSError):
                if earlier.exists() and not destination.exists():
                    os.replace(earlier, destination)
            _remove(temporary)
            if destination.exists():  # else what was there before still has the other name
                _remove(earlier)


def _sync(path: Path) -> None:
    if path.is_dir():
        sync_tree(path)
        return
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(each.stat().st_size for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file())
