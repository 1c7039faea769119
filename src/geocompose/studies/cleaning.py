"""What lies in a study's runs beyond what is needed. Free of torch."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from geocompose.errors import UserError, choices
from geocompose.runs import RunFolder, RunHeldError
from geocompose.runs.atomic import explained
from geocompose.runs.find import list_runs

KINDS = ("last", "temporary", "best", "failed", "interrupted")

log = logging.getLogger("geocompose")


@dataclass(frozen=True)
class Rest:
    """Something that can go: a file, or a run's whole folder.

    kind: of `KINDS`. num_bytes: what it takes on the disk.
    """

    kind: str
    run: Path
    path: Path
    num_bytes: int


def check_kinds(kinds: Sequence[str]) -> None:
    """Refuse what can't be removed.

    Raises:
        UserError: names it.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"action.remove has no {kind!r}. {choices(kind, KINDS)}")


def rests(study: Path, kinds: Sequence[str]) -> list[Rest]:
    """Return what of these kinds lies in the runs of a study that nobody computes now, sorted by path.

    A run whose record is damaged is said and passed over.
    """
    found: list[Rest] = []
    for run in list_runs(study):
        if run.path.is_symlink():
            continue  # another folder's run
        try:
            found += _of_run(run, kinds)
        except UserError as error:
            log.warning("%s is passed over: %s", run.path, error)
    return found


def remove(found: Sequence[Rest]) -> list[Rest]:
    """Remove what `rests` found and is still to go, each under its run's lock; return what was removed.

    Raises:
        UserError: the system refuses.
    """
    removed: list[Rest] = []
    for path in dict.fromkeys(rest.run for rest in found):
        run = RunFolder(path)
        mine = [rest for rest in found if rest.run == path]
        try:
            with run.lock():
                # Another process may have been here since.
                again = {(rest.kind, rest.path) for rest in _of_run(run, [rest.kind for rest in mine], held=True)}
                gone = [rest for rest in mine if (rest.kind, rest.path) in again]
                for rest in gone:
                    _remove(rest, run)
        except RunHeldError as error:
            log.warning("%s", error)
            continue
        removed += gone
        if any(rest.path == path for rest in gone) and all(entry.name.startswith(".") for entry in path.iterdir()):
            with explained(path):
                shutil.rmtree(path)  # the lock's own file, and the folder; nobody began the run anew meanwhile
    return removed


def _of_run(run: RunFolder, kinds: Sequence[str], *, held: bool = False) -> Iterator[Rest]:
    state = run.status()
    if state == "running" and not held:
        return
    if state in kinds and state in ("failed", "interrupted"):
        yield Rest(state, run.path, run.path, sum(_size(path) for path in run.path.rglob("*")))
        return
    candidates: list[tuple[str, Path]] = []
    if state == "completed":
        candidates += [("last", run.last), ("last", run.previous)]
        if any(name.startswith("test/") for name in run.read().metrics):
            candidates.append(("best", run.best))
    candidates += [("temporary", path) for folder in (run.path, run.checkpoints) for path in folder.glob(".*.tmp")]
    for kind, path in sorted(candidates):
        if kind in kinds and path.is_file():
            yield Rest(kind, run.path, path, _size(path))


def _size(path: Path) -> int:
    return path.lstat().st_size if path.is_file() or path.is_symlink() else 0


def _remove(rest: Rest, run: RunFolder) -> None:
    with explained(rest.path):
        if rest.path != run.path:
            rest.path.unlink(missing_ok=True)
            return
        run.record.unlink()  # first: no half of a run may look whole
        for entry in run.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif not entry.name.startswith("."):
                entry.unlink()
