"""What an engine computes of a cell, in whatever process: its action, with what the program has around it."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geocompose.errors import UserError, in_one_line, visible
from geocompose.experiment import Action, Experiment, perform
from geocompose.runs import RunFolder, RunHeldError
from geocompose.runs.atomic import RefusedError
from geocompose.studies.cells import Outcome
from geocompose.studies.plan import PlanEvent, add_events

_log = logging.getLogger("geocompose")


class ComputedElsewhereError(RunHeldError):
    """Another process has computed this run since it was handed out."""


class _Visible(logging.Formatter):
    """Writes what a name out of a file would do to the terminal as text."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def show_messages() -> None:
    """Have what our modules say written to the standard error, in this process."""
    if not any(isinstance(handler.formatter, _Visible) for handler in _log.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Visible())
        _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    _log.propagate = False


@dataclass(frozen=True)
class CellCall:
    """Computes a cell where it is called; picklable.

    folder, log: of its run. command: the program's arguments as they were typed, which records quote.
    """

    experiment: Experiment
    action: Action
    folder: Path
    log: Path
    command: Sequence[str]

    def __call__(self) -> None:
        """Compute the cell.

        Raises:
            RunHeldError: another process computes it, or has done so.
            Exception: it failed; its record says so, or its study's plan where it has none.
        """
        show_messages()
        sys.argv[:] = self.command
        try:
            outcome = perform(self.experiment, self.action)
        except (RunHeldError, RefusedError):  # nothing is wrong with the cell
            raise
        except Exception as error:
            if not RunFolder(self.folder).record.is_file():
                self._tell_plan(in_one_line(error))
            raise
        if isinstance(outcome, Outcome) and not outcome.computed:
            raise ComputedElsewhereError(f"{self.folder} was computed by another process meanwhile.")

    def _tell_plan(self, reason: str) -> None:
        try:
            add_events(self.folder.parent, [PlanEvent("failed", self.run_id, reason, str(self.log))])
        except UserError as refused:  # the cell's own error is the one to be raised
            _log.warning("%s", refused)

    @property
    def run_id(self) -> str:
        """The identity of its run."""
        return self.folder.name.rpartition("-")[2]
