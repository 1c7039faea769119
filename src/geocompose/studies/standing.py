"""What has still to be done for a run, from its record alone. Free of torch."""

from collections.abc import Mapping
from typing import Any, Literal

from geocompose.runs.folder import RunFolder

# missing: not begun, interrupted, to be tried or scored again; finished and failed: with nothing left to do.
Standing = Literal["missing", "finished", "failed"]


def is_finished(folder: RunFolder, config: Mapping[str, Any], *, test: bool) -> bool:
    """Return whether a run has all that is wanted. test: its test split opened too."""
    if config["rerun"] or folder.status() != "completed":
        return False
    return not test or any(name.startswith("test/") for name in folder.read().metrics)


def is_refused(folder: RunFolder, config: Mapping[str, Any]) -> bool:
    """Return whether a run failed before and is not to be tried again."""
    return folder.status() == "failed" and not config["rerun"] and config["retry"] != "failed"


def standing(folder: RunFolder, config: Mapping[str, Any], *, test: bool) -> Standing:
    """Return what has still to be done. config: the run's, with the root keys rerun and retry.

    Raises:
        UserError: the record is damaged or foreign.
    """
    if is_finished(folder, config, test=test):
        return "finished"
    return "failed" if is_refused(folder, config) else "missing"
