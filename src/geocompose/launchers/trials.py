"""Compositions tried before anything is computed, in a process of their own: the sweeping one never loads torch."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from geocompose.configuration.working_folder import search_working_folder, targets_in
from geocompose.errors import UserError, unwrapped
from geocompose.launchers import fork_server, server_process
from geocompose.launchers.parent_death import die_with
from geocompose.launchers.planning import PlannedCell
from geocompose.launchers.runs import runs_of
from geocompose.studies.plan import Plan, PlanEvent

log = logging.getLogger("geocompose")

Try = Callable[[Mapping[str, Any]], None]

# A trial takes seconds; one of a user's own part may hang. Loading the libraries of a slow network drive counts in.
LIMIT_S = 600.0


def refusals(cells: Sequence[PlannedCell]) -> dict[str, str]:
    """Return why cells are impossible, by the identities of their runs; each distinct composition is tried once."""
    compositions = {cell.run_id: cell.composition() for cell in cells}
    firsts: dict[str, PlannedCell] = {}
    for cell in cells:
        firsts.setdefault(compositions[cell.run_id], cell)
    reasons: dict[str, str | None] = {}
    for try_out, some in _by_trial(firsts).items():
        configs = [cell.experiment.config for cell in some.values() if cell.experiment is not None]
        reasons |= dict(zip(some, tried(configs, try_out), strict=True))
    found = ((identity, reasons[composition]) for identity, composition in compositions.items())
    return {identity: reason for identity, reason in found if reason is not None}


def news(cells: Sequence[PlannedCell], refused: Mapping[str, str], plan: Plan) -> list[PlanEvent]:
    """Return what a plan does not say yet of cells that were tried. refused: what `refusals` returned."""
    events = []
    for cell in cells:
        before, now = plan.events.get(cell.run_id), refused.get(cell.run_id)
        if now is not None and (before is None or (before.kind, before.reason) != ("refused", now)):
            events.append(PlanEvent("refused", cell.run_id, now))
        elif now is None and before is not None and before.kind != "accepted":
            events.append(PlanEvent("accepted", cell.run_id))
    return events


def _by_trial(cells: Mapping[str, PlannedCell]) -> dict[Try, dict[str, PlannedCell]]:
    found: dict[Try, dict[str, PlannedCell]] = {}
    for composition, cell in cells.items():
        assert cell.action is not None
        runs = runs_of(cell.action.function)
        assert runs is not None
        found.setdefault(runs.try_out, {})[composition] = cell
    return found


def tried(configs: Sequence[Mapping[str, Any]], try_out: Try) -> Iterator[str | None]:
    """Yield for each configuration why it is impossible; None where it is possible, or where the trial can't tell.

    A trial that ends in another error than a UserError, takes longer than LIMIT_S, or whose process dies, says nothing:
    the run itself tells what is wrong, with its log.
    """
    context = fork_server.context()
    done = 0
    while done < len(configs):
        ours, theirs = context.Pipe(duplex=False)
        some = list(configs[done:])
        with theirs:
            process = fork_server.start(partial(_process, some, try_out, theirs))
        try:
            with suppress(EOFError, OSError):
                while done < len(configs):
                    if not ours.poll(LIMIT_S):
                        log.warning(
                            "The trial of a composition was ended after %.0f minutes; its run will tell.", LIMIT_S / 60
                        )
                        break
                    reason = ours.recv()
                    done += 1
                    yield reason
        finally:
            ours.close()
            if done < len(configs):
                process.terminate()
            process.join()
        if done < len(configs):
            done += 1
            yield None


def _process(configs: Sequence[Mapping[str, Any]], try_out: Try, words: Connection) -> ForkServerProcess:
    return fork_server.context().Process(target=_try_all, args=(configs, try_out, words), daemon=True)


def _try_all(configs: Sequence[Mapping[str, Any]], try_out: Try, words: Connection) -> None:
    if server_process.server_pid is not None:
        die_with(server_process.server_pid)
    sys.stdout = sys.stderr  # what a library prints is not the sweep's
    for config in configs:
        search_working_folder(targets_in(config))
        reason: str | None = None
        try:
            try_out(config)
        except UserError as error:
            reason = unwrapped(error)
        except Exception:  # noqa: BLE001 - the run will tell, with its traceback
            reason = None
        words.send(reason)
