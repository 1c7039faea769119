"""What has still to be done for a run, from its record alone. Free of torch."""

from collections.abc import Mapping
from typing import Any, Literal

from geocompose.runs.folder import RunFolder

# missing: not begun, interrupted, to be tried or scored again; finished and failed: with nothing left to do.
Standing = Literal["missing", "finished", "failed"]


def standing(folder: RunFolder, config: Mapping[str, Any], *, test: bool) -> Standing:
    """Return what has still to be done.

    config: the run's, with the root keys rerun and retry. test: whether its test split is to be opened too.

    Raises:
        UserError: the record is damaged or foreign.
    """
    if config["rerun"]:
        return "missing"
    state, record = folder.look()
    if state == "completed" and record is not None:
        return "finished" if not test or any(name.startswith("test/") for name in record.metrics) else "missing"
    return "failed" if state == "failed" and config["retry"] != "failed" else "missing"


def is_finished(folder: RunFolder, config: Mapping[str, Any], *, test: bool) -> bool:
    """Return whether a run has all that is wanted. test: its test split opened too."""
    return standing(folder, config, test=test) == "finished"


def is_refused(folder: RunFolder, config: Mapping[str, Any]) -> bool:
    """Return whether a run failed before and is not to be tried again."""
    return standing(folder, config, test=False) == "failed"
