"""What is written of a cell whose process could not do so itself."""

import logging
import signal

from geocompose.errors import UserError
from geocompose.launchers.engine import Ended
from geocompose.launchers.planning import PlannedCell
from geocompose.runs import RunHeldError
from geocompose.studies.plan import PlanEvent, add_events

log = logging.getLogger("geocompose")

# Signals that somebody sends from outside: the run can go on. Others are the code's own crash.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def is_own_end(end: Ended) -> bool:
    """Return whether a cell's process was ended by its own doing or by a limit, so that the cell has failed."""
    if end.how == "killed":
        return end.signal is not None and end.signal not in _FROM_OUTSIDE
    return end.how in ("exited", "timeout", "memory")


def record_end(cell: PlannedCell, end: Ended) -> None:
    """Record a failure that the cell's process could not record: in its record, or in the plan where it has none."""
    if not is_own_end(end) or cell.folder is None:
        return
    try:
        if cell.folder.status() == "absent":
            add_events(cell.study, [PlanEvent("failed", cell.run_id, end.reason, str(cell.log))])
            return
        with cell.folder.lock():
            if cell.folder.status() == "interrupted":
                cell.folder.give_up(f"{end.reason} (log: {cell.log})")
    except RunHeldError:
        return  # another process goes on with it
    except UserError as error:  # the disk refuses, or the record is damaged, which the table tells too
        log.warning("%s", error)
