"""A completed run as it was recorded, read once: its folder, its configuration and its record."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from geocompose.runs.find import find_run
from geocompose.runs.folder import RunFolder
from geocompose.runs.identity import IdentityRules
from geocompose.runs.record import Record


@dataclass(frozen=True)
class RecordedRun:
    """What a completed run left.

    config: its configuration, with targets under their names of today. record: what record.json holds.
    """

    folder: RunFolder
    config: dict[str, Any]
    record: Record


def open_run(path: Path | str, rules: IdentityRules, *, checkpoint: bool = True) -> RecordedRun:
    """Return the completed run in a folder, whichever version recorded it.

    rules: say what has moved since. checkpoint: the run's best checkpoint is needed too.

    Raises:
        UserError: see `find_run`.
    """
    folder = find_run(path, checkpoint=checkpoint)
    config = rules.now_named(yaml.safe_load(folder.config.read_text(encoding="utf-8")))
    return RecordedRun(folder, config, folder.read())
