"""Runs on disk: what identifies one, where its files lie, what is recorded; knows nothing of torch or Hydra."""

from geocompose.runs.find import find_run, list_runs
from geocompose.runs.folder import RunFolder
from geocompose.runs.identity import folder_name, run_id
from geocompose.runs.identity_rules import IdentityRules, load_rules
from geocompose.runs.lock import RunHeldError
from geocompose.runs.record import Record
from geocompose.runs.recorded import RecordedRun, open_run
from geocompose.runs.trust import Trust

__all__ = [
    "IdentityRules",
    "Record",
    "RecordedRun",
    "RunFolder",
    "RunHeldError",
    "Trust",
    "find_run",
    "folder_name",
    "list_runs",
    "load_rules",
    "open_run",
    "run_id",
]
