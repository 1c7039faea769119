"""Where studies lie: those that a user names, by their names or their folders."""

from collections.abc import Sequence
from pathlib import Path

from geocompose.errors import UserError, did_you_mean, shortened
from geocompose.runs.folder import check_study

OUTPUTS = Path("outputs")


def study_folders(study: str, studies: Sequence[str] | None, outputs: Path = OUTPUTS) -> list[Path]:
    """Return the folders of the studies to look at.

    study: a name below `outputs`. studies: in its place several, each a name or the path of a folder, with a `/` in it
        (`./floods`, `/mnt/b/outputs/floods`).

    Raises:
        UserError: there is no such study, or `studies` is empty.
    """
    if studies is None:
        check_study(study)
        return [_existing(study, outputs)]
    if not studies:
        raise UserError("action.studies must be one study or more, such as [floods, /mnt/b/outputs/floods]; got [].")
    return [_existing(name, outputs) for name in studies]


def _existing(name: str, outputs: Path) -> Path:
    is_path = "/" in name or name in (".", "..")
    folder = Path(name).expanduser() if is_path else outputs / name
    if folder.is_dir():
        return folder
    if is_path:
        what = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"The study's folder {name} {what}. Give the folder that holds the study's runs.")
    there = _names(outputs)
    known = f"Studies in {outputs}: {shortened(there, 12)}." if there else f"There are no studies in {outputs}."
    beside = f" The folder ./{name} is meant by action.studies=[./{name}]." if Path(name).is_dir() else ""
    guess = did_you_mean(name, {each: each for each in there})
    raise UserError(f"There is no study {name!r}: {folder} does not exist. {guess}{known}{beside}")


def _names(outputs: Path) -> list[str]:
    if not outputs.is_dir():
        return []
    return sorted(entry.name for entry in outputs.iterdir() if entry.is_dir() and not entry.name.startswith("."))
