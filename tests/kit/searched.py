"""What a search has left on the disk."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


def trials(folder: Path = Path("outputs/s/search")) -> list[optuna.trial.FrozenTrial]:
    """Return the trials of the only search of a study, as Optuna itself reads them."""
    (journal,) = folder.glob("*/journal.log")
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.load_study(storage=storage, study_name=journal.parent.name).trials


def states(folder: Path = Path("outputs/s/search")) -> dict[str, int]:
    """Return how many trials of a search are in which of Optuna's states."""
    return dict(Counter(trial.state.name for trial in trials(folder)))


def points(folder: Path = Path("outputs/s/search")) -> list[dict[str, Any]]:
    """Return the points of a search in the order in which they were tried."""
    return [dict(trial.params) for trial in trials(folder)]


def outcome(folder: Path = Path("outputs/s/search")) -> dict[str, Any]:
    """Return the file that says what a search has found."""
    (file,) = folder.glob("*.json")
    return json.loads(file.read_text())


def records(study: str = "s") -> dict[str, dict[str, Any]]:
    """Return the records of a study's runs by their ids."""
    read = [json.loads(path.read_text()) for path in Path("outputs", study).glob("*/record.json")]
    return {record["run_id"]: record for record in read}


def lines(name: str) -> list[str]:
    """Return the lines of a file that runs write to."""
    return Path(name).read_text().split() if Path(name).exists() else []
