"""Finding runs: the one that a user named, and those below a folder."""

from pathlib import Path

from geocompose.errors import UserError, nearest
from geocompose.runs import lock
from geocompose.runs.folder import RunFolder


def find_run(path: Path | str, *, checkpoint: bool = True) -> RunFolder:
    """Return the completed run in the folder that a user gave.

    checkpoint: the run's best checkpoint is needed too.

    Raises:
        UserError: there is no such folder, no record in it, the run is not completed or its checkpoint is missing;
            names the nearest run's folder where there is one.
    """
    run = any_run(path)
    path = run.path
    state = run.status()
    if state == "failed":
        raise UserError(f"The run in {path} failed ({run.read().error}). Run its command again with retry=failed.")
    if state == "running":
        raise UserError(f"The run in {path} is still being computed by {lock.holder(path)}. Wait for it to finish.")
    if state == "interrupted":
        raise UserError(f"The run in {path} was interrupted. Run its command again: it resumes where it stopped.")
    assert state == "completed", state
    if checkpoint and not run.best.is_file():
        raise UserError(
            f"The run in {path} has no {run.best.relative_to(path)}. "
            "Put it back, or run the run's command again with rerun=true (and trainer.keep=[best])."
        )
    return run


def any_run(path: Path | str) -> RunFolder:
    """Return the run in the folder that a user gave, in whichever state it is.

    Raises:
        UserError: there is no such folder, or no record in it; names the nearest run's folder where there is one.
    """
    path = Path(path).expanduser()
    run = RunFolder(path)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise UserError(f"The run folder {path} {what}. {_hint(path)}")
    if not run.record.is_file():
        raise UserError(f"{path} is not a run's folder: it has no {run.record.name}. {_hint(path)}")
    return run


def list_runs(folder: Path) -> list[RunFolder]:
    """Return the runs in `folder` (a study's) and one level below (the folder of all studies), sorted by path."""
    found = {record.parent for pattern in ("*/record.json", "*/*/record.json") for record in folder.glob(pattern)}
    return [RunFolder(path) for path in sorted(found)]


def _hint(path: Path) -> str:
    """Return what to do about a path that is not a run's folder, with the nearest run's."""
    for parent in path.parents:
        if RunFolder(parent).record.is_file():
            return f"Did you mean {parent}?"
    # Below the given folder, then around it; never further up, where a search could take minutes.
    around = next((parent for parent in path.parents if parent.is_dir()), path)
    for place in (path, around):
        # The root folder holds no study, but on Linux thousands of folders that stand for processes.
        searched = place.is_dir() and place != Path(place.anchor)
        runs = [str(run.path) for run in list_runs(place)] if searched else []
        if runs:
            guess = nearest(str(path), runs)
            start = f"Did you mean {guess}? " if guess else ""
            return f"{start}Runs nearby: {', '.join(runs[:5])}{', ...' if len(runs) > 5 else ''}."
    return "Give the folder of a finished run, such as outputs/default/prithvi-upernet-none-0123456789."
