"""A study's plan: cells.jsonl beside its runs, one JSON object per line, only ever appended to. Free of torch.

Each cell has one line, by the identity of its run. Further lines say what no record can say, because the run has no
folder: that its parts don't fit together, or how its process ended before there was a record.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from geocompose.errors import UserError
from geocompose.runs.atomic import explained, sync_folder
from geocompose.runs.environment import utc_now

PLAN_NAME = "cells.jsonl"
_LOCK_NAME = ".cells.lock"
_LOCK_S = 60.0  # an append takes milliseconds
MOST_BYTES = 512 * 2**20
_LONGEST_REASON = 4000

EventKind = Literal["refused", "accepted", "failed"]


@dataclass(frozen=True)
class PlanCell:
    """One cell: id, its run's identity; overrides, the command line's for it; choices, the option chosen in each group.

    config_dirs: folders of config groups that were typed beside conf/ (--config-dir). at: when it was planned, UTC.
    """

    id: str
    overrides: tuple[str, ...]
    choices: Mapping[str, str | None]
    config_dirs: tuple[str, ...] = ()
    at: str = ""

    @property
    def composed_of(self) -> tuple[object, ...]:
        """What tells it from the plan's other cells, whichever run it is; its id where nothing was typed."""
        return self.overrides or self.id, self.config_dirs, tuple(sorted(self.choices.items(), key=str))


@dataclass(frozen=True)
class PlanEvent:
    """What became of a cell without a record: its parts don't fit (refused), do after all (accepted), or it failed."""

    kind: EventKind
    id: str
    reason: str = ""
    log: str | None = None
    at: str = ""


@dataclass
class Plan:
    """What a study's cells.jsonl says. events: the last of each cell. cut: whether its last line was cut short.

    newest: by what a cell was composed of, the identity under which it was planned last.
    """

    cells: dict[str, PlanCell] = field(default_factory=dict)
    events: dict[str, PlanEvent] = field(default_factory=dict)
    cut: bool = False
    newest: dict[tuple[object, ...], str] = field(default_factory=dict)

    def add(self, cell: PlanCell) -> None:
        """Take a cell's line; a second one of the same run keeps the place of the first."""
        self.cells.setdefault(cell.id, cell)
        self.newest[cell.composed_of] = cell.id

    def is_outdated(self, cell: PlanCell) -> bool:
        """Return whether the same was planned again as another run, since data, weights or conf/ had changed."""
        return self.newest.get(cell.composed_of, cell.id) != cell.id

    def has(self, cell: PlanCell) -> bool:
        """Return whether a cell is planned as it is now."""
        return cell.id in self.cells and not self.is_outdated(cell)

    def refused(self, identity: str) -> PlanEvent | None:
        """Return why a cell can't be computed; None where it can, as far as is known."""
        event = self.events.get(identity)
        return event if event is not None and event.kind == "refused" else None

    def failed(self, identity: str) -> PlanEvent | None:
        """Return how a cell ended that has no record; None where nothing is known of such an end."""
        event = self.events.get(identity)
        return event if event is not None and event.kind == "failed" else None


def read_plan(study: Path) -> Plan:
    """Return the plan of the study in a folder, empty where there is none; a last line that was cut short is left out.

    Raises:
        UserError: the file is damaged, foreign or larger than any plan; says what to do.
    """
    path = study / PLAN_NAME
    with explained(path, "read"):
        try:
            if path.stat().st_size > MOST_BYTES:
                _refuse(path, f"it is larger than {MOST_BYTES >> 20} MB")
            content = path.read_bytes()
        except FileNotFoundError:
            return Plan()
    *lines, rest = content.split(b"\n")
    plan = Plan(cut=bool(rest))
    for number, line in enumerate(lines, 1):
        entry = _entry(path, number, line)
        if isinstance(entry, PlanCell):
            plan.add(entry)
        else:
            plan.events[entry.id] = entry
    return plan


def add_cells(study: Path, cells: Sequence[PlanCell]) -> Plan:
    """Append the cells that a plan does not have yet, or no longer as they are now, and return it as it then is.

    Raises:
        UserError: see `read_plan`; or the folder can't be written.
    """
    plan = read_plan(study)
    if not plan.cut and all(plan.has(cell) for cell in cells):
        return plan
    with _locked(study):
        plan = read_plan(study)
        new = {cell.id: cell for cell in cells if not plan.has(cell)}
        now = utc_now()
        _append(study / PLAN_NAME, (_cell_line(cell, now) for cell in new.values()))
        for cell in new.values():
            plan.add(cell)
        plan.cut = False
    return plan


def add_events(study: Path, events: Sequence[PlanEvent]) -> None:
    """Append what became of cells.

    Raises:
        UserError: see `add_cells`.
    """
    if not events:
        return
    with _locked(study):
        now = utc_now()
        _append(study / PLAN_NAME, (_event_line(event, now) for event in events))


@contextmanager
def _locked(study: Path) -> Iterator[None]:
    import filelock  # takes 30 ms, and is not needed to read plans

    with explained(study):
        study.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(study / _LOCK_NAME)
    try:
        with explained(study / _LOCK_NAME):
            lock.acquire(timeout=_LOCK_S, poll_interval=0.02)
    except filelock.Timeout as error:
        raise UserError(
            f"{study / _LOCK_NAME} has been held by another process for {_LOCK_S:.0f} s. End that process (a stopped "
            "one too); where this file system has no locks, remove the file. Then run the same command again."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _append(path: Path, lines: Iterable[str]) -> None:
    """Append lines as one write that is on the disk when this returns; under the study's lock."""
    content = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
    with explained(path):
        new = not path.exists()
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            end = _end_of_last_line(file)
            os.ftruncate(file, end)  # what a kill or a full disk has cut short
            try:
                while content:
                    written = os.pwrite(file, content, end)
                    content, end = content[written:], end + written
                os.fsync(file)
            except OSError:
                os.ftruncate(file, _end_of_last_line(file))
                raise
        finally:
            os.close(file)
        if new:
            sync_folder(path.parent)


def _end_of_last_line(file: int) -> int:
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - 4096)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _cell_line(cell: PlanCell, now: str) -> str:
    values = {
        "kind": "cell",
        "id": cell.id,
        "overrides": list(cell.overrides),
        "choices": dict(cell.choices),
        "config_dirs": list(cell.config_dirs),
        "at": now,
    }
    return json.dumps(values, allow_nan=False)


def _event_line(event: PlanEvent, now: str) -> str:
    values = {"kind": event.kind, "id": event.id, "reason": event.reason[:_LONGEST_REASON], "log": event.log, "at": now}
    return json.dumps(values, allow_nan=False)


def _entry(path: Path, number: int, line: bytes) -> PlanCell | PlanEvent:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        _refuse(path, f"line {number} is not JSON")
        raise AssertionError from error
    if not isinstance(values, dict) or not all(isinstance(values.get(key), str) for key in ("kind", "id", "at")):
        _refuse(path, f"line {number} has no kind, id and time")
    kind = values["kind"]
    if kind == "cell":
        return _cell(path, number, values)
    if kind not in ("refused", "accepted", "failed"):
        _refuse(path, f"line {number} is of the kind {kind!r:.80}, which this version does not know")
    reason, log = values.get("reason", ""), values.get("log")
    if not isinstance(reason, str) or not isinstance(log, str | None):
        _refuse(path, f"line {number} has a reason or log that is not a text")
    return PlanEvent(kind, values["id"], reason, log, values["at"])


def _cell(path: Path, number: int, values: Mapping[str, Any]) -> PlanCell:
    overrides, choices, folders = (values.get(key) for key in ("overrides", "choices", "config_dirs"))
    if not _are_texts(overrides):
        _refuse(path, f"line {number} has overrides that are not a list of texts")
    if not isinstance(choices, dict) or not all(isinstance(choice, str | None) for choice in choices.values()):
        _refuse(path, f"line {number} has choices that are not a mapping of groups to options")
    if not _are_texts(folders):
        _refuse(path, f"line {number} has config_dirs that are not a list of texts")
    assert isinstance(overrides, list)
    assert isinstance(folders, list)
    return PlanCell(values["id"], tuple(overrides), choices, tuple(folders), values["at"])


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _refuse(path: Path, reason: str) -> NoReturn:
    raise UserError(
        f"{path} is not a plan that this version of geocompose wrote, or it is damaged: {reason}. Move the file away "
        "and run the sweep's command again: it writes the plan anew, and finished runs stay finished."
    )
