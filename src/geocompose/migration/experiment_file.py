"""An experiment option under conf/experiment/imported, written from a translation."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from geocompose.errors import UserError
from geocompose.migration.translation import Translation
from geocompose.runs.atomic import explained, write_text

OPTION = "imported"
# How a command shows what only its user can say.
ASKED = {
    "data.root": "DIR",
    "data.images": "PATTERN",
    "data.labels": "PATTERN",
    "data.table": "FILE",
    "data.split_files": "{train: FILE, val: FILE, test: FILE}",
    "data.variables": "[NAMES]",
    "data.split_files.train": "FILE",
    "data.split_files.val": "FILE",
    "data.split_files.test": "FILE",
}
FOLDER = Path("experiment") / OPTION


def experiment_name(given: str | None, *sources: Path | None) -> str:
    """Return an experiment's name: the one given, else the first source's, or its folder's where that says nothing.

    Raises:
        UserError: the given name can't be a file's.
    """
    if given is not None:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", given):
            raise UserError(f"action.name must consist of letters, digits, '_' and '-'; got {given!r}.")
        return given
    source = next(path for path in sources if path is not None).resolve()
    stem = source.parent.name if source.stem in ("config", "model", "best", "last") else source.stem
    return re.sub(r"[^A-Za-z0-9_]+", "_", stem).strip("_") or "imported"


@dataclass(frozen=True)
class ExperimentFile:
    """An option to be written to `path`, and lists of the splits' images beside it."""

    path: Path
    text: str
    lists: dict[Path, str]

    def write(self) -> None:
        """Write the option, after the lists that it names.

        Raises:
            UserError: the folder can't be written.
        """
        for file, text in [*self.lists.items(), (self.path, self.text)]:
            with explained(file.parent):
                file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, text)


def plan_experiment(
    to: Translation, conf_dir: Path, name: str, origin: list[str], *, command: str, overwrite: bool
) -> ExperimentFile:
    """Return the option that a translation makes; where splits are known, the translation then names their lists.

    origin: lines that say what it was made from. command: the one that runs it.

    Raises:
        UserError: another one of this name is there.
    """
    path = conf_dir / FOLDER / f"{name}.yaml"
    lists = {split: path.parent / name / f"{split}.txt" for split in to.split_lists}
    for split, file in lists.items():
        to.set(f"data.split_files.{split}", _shown(file))
    text = _text(to, name, origin, command)
    if path.exists() and path.read_text("utf-8") != text and not overwrite:
        raise UserError(
            f"{path} is there already; action.overwrite=true replaces it, action.name=NAME writes another one."
        )
    return ExperimentFile(
        path, text, {file: "".join(f"{image}\n" for image in to.split_lists[split]) for split, file in lists.items()}
    )


def _shown(path: Path) -> str:
    """Return a path relative to the working directory where it lies below it, so that a checkout can be moved."""
    here = Path.cwd()
    return path.resolve().relative_to(here).as_posix() if path.resolve().is_relative_to(here) else str(path.resolve())


def asked_for(to: Translation) -> list[str]:
    """Return the overrides that a run needs and only its user knows, in capitals."""
    return [f"{key}={ASKED.get(key, key.rpartition('.')[2].upper())}" for key in to.asked]


def _text(to: Translation, name: str, origin: list[str], command: str) -> str:
    entries = to.ledger.entries()
    lost, decided = to.ledger.told("not carried over"), to.ledger.remarks
    head = [
        f"A TerraTorch run of {to.kind}, imported by action=import_terratorch.",
        *origin,
        f"Command: {command}",
        f"Of {len(entries)} settings these could not be carried over:"
        if lost
        else f"All {len(entries)} settings are here.",
        *(f"  {line}" for line in lost),
        *(["Decided here:", *(f"  {line}" for line in decided)] if decided else []),
    ]
    defaults = ["_self_", *({f"override /{group}": option} for group, option in sorted(to.choices.items()))]
    body = yaml.safe_dump({"defaults": defaults}, sort_keys=False, default_flow_style=False)
    values = yaml.safe_dump({"study": name, **to.values}, sort_keys=False, default_flow_style=None, width=110)
    body += re.sub(r"^(?=\w)", "\n", values, flags=re.MULTILINE)  # an empty line before each group
    # Texts out of a stranger's file: a line break in one would end the comment.
    comments = "".join(f"# {' '.join(line.splitlines())}\n" for line in head)
    return f"# @package _global_\n{comments}{body}"
