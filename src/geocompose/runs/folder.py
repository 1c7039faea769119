"""A run's folder: where its files lie, in which state it is, and how it goes from one state to the next."""

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from geocompose.errors import UserError, raised_in, unwrapped
from geocompose.runs import lock
from geocompose.runs.atomic import explained, sync_folder, sync_tree, write_text, write_through
from geocompose.runs.environment import peak_memory_mb, process, reset_peak_memory, utc_now
from geocompose.runs.record import Record, Status
from geocompose.runs.watching import Stop

State = Literal["absent", "running", "completed", "failed", "interrupted"]

LAST = "last.ckpt"
ACCELERATOR_PEAK = "accelerator_peak_memory_mb"
PREVIOUS = "previous.ckpt"  # what was the last one before it
# What a finished run can keep: the best epoch's weights, the last epoch with the optimizer's state, and within both the
# weights that were frozen.
KEPT = ("best", "last", "base")
_OWN_NAMES = (lock.LOCK_NAME, lock.HOLDER_NAME)


def check_study(name: str) -> None:
    """Refuse the name of a study that is not a folder's name: runs are written below it.

    Raises:
        UserError: it has other characters than letters, digits, '.', '_' and '-', or begins with '.'.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or name.startswith("."):
        raise UserError(f"study must be a folder's name of letters, digits, '.', '_' and '-'; got {name!r}.")


def check_kept(keep: Sequence[str]) -> None:
    """Refuse what a finished run can't keep.

    Raises:
        UserError: something else than `KEPT` names, or one twice.
    """
    if not set(keep) <= set(KEPT) or len(set(keep)) < len(keep):
        raise UserError(f"trainer.keep must be a list of {', '.join(KEPT)}, each at most once; got {list(keep)}.")


class RunFolder:
    """The files of one run below `path`, which need not exist yet.

    Looking needs no lock (a completed run may lie on a read-only disk). Whoever computes a run holds its lock and looks
    again inside, since another process may have been quicker:

        with folder.lock():
            state = folder.status()  # completed by now? failed? interrupted: resume
            record = folder.begin(Record(run_id=...), config=..., overrides=[...], resume=state == "interrupted")
            ...                      # folder.save(record) whenever there is news
            folder.finish(record)    # or fail, or interrupt

    A run that ends without one of the three, even by a power cut, is interrupted. Open run.log after begin: it clears.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.overrides = self.path / "overrides.yaml"
        self.code_diff = self.path / "code.diff"
        self.code = self.path / "code"
        self.record = self.path / "record.json"
        self.metrics = self.path / "metrics.csv"
        self.confusion = self.path / "confusion.npz"
        self.tile_sums = self.path / "tile_sums.npz"
        self.baselines = self.path / "baselines.npz"
        self.calibration = self.path / "calibration.npz"
        self.thresholds = self.path / "thresholds.npz"
        self.splits = self.path / "splits.csv"
        self.predictions = self.path / "predictions.npz"
        self.log = self.path / "run.log"
        self.figures = self.path / "figures"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.checkpoints / "best.ckpt"
        self.last = self.checkpoints / LAST
        self.previous = self.checkpoints / PREVIOUS
        self._holds_lock = False
        self._began_s: float | None = None
        self._earlier_s = 0.0

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run's lock for the block; the system frees it too if this process dies.

        Raises:
            RunHeldError: a living process computes this run; says which and since when.
            UserError: the folder can't be written.
        """
        assert not self._holds_lock, f"{self.path} is locked twice"
        with lock.held(self.path):
            self._holds_lock = True
            try:
                yield
            finally:
                self._holds_lock, self._began_s = False, None

    def status(self) -> State:
        """Return the run's state: `running` only while a living process holds the lock, `absent` without a record.

        Raises:
            UserError: record.json is damaged or foreign.
        """
        return self.look()[0]

    def look(self) -> tuple[State, Record | None]:
        """Return the run's state, as `status` does, and the record that says so; None where it is absent.

        Raises:
            UserError: see `status`.
        """
        record = self._recorded()
        if record is None:
            return "absent", None
        if record.status != "running":
            return record.status, record
        # Under our own lock a record that says running is our own once we began, and a dead process's before.
        if self._began_s is not None if self._holds_lock else lock.is_held(self.path):
            return "running", record
        # Without a holder: died, or finished between our look at the record and our look at the lock.
        record = self._recorded()
        if record is None:
            return "absent", None
        return "interrupted" if record.status == "running" else record.status, record

    def read(self) -> Record:
        """Return what record.json holds.

        Raises:
            UserError: it is missing, damaged or foreign.
        """
        return Record.read(self.record)

    @property
    def resumable(self) -> Path | None:
        """The checkpoint to go on from: the last one, or its predecessor if a kill came between the two."""
        return next((path for path in (self.last, self.previous) if path.is_file()), None)

    def begin(
        self,
        record: Record,
        *,
        config: str,
        overrides: Sequence[str],
        code_diff: str = "",
        code: Mapping[str, bytes] | None = None,
        resume: bool = False,
    ) -> Record:
        """Write what is going to run, with status running, and return `record`, started.

        config: the resolved configuration as YAML. overrides: the command line's. code_diff: `git_diff`'s answer.
        code: source files of the user's own, by their names below the folder `code`.
        resume: keep checkpoints and metrics of an interrupted run, and count on from its start, seconds, epochs, peaks
            and loggers; else the folder is cleared. From the first step of clearing to the last of this method the
            folder has no record: it looks absent, never completed.

        Raises:
            UserError: the folder can't be written, or holds files that are not a run's.
        """
        assert self._holds_lock, f"{self.path} is begun without its lock"
        if resume:
            earlier = self.read()
            assert earlier.run_id == record.run_id, f"{self.path} holds run {earlier.run_id}, not {record.run_id}"
            record.started, record.resumed = earlier.started, earlier.resumed + 1
            self._earlier_s = earlier.seconds or 0.0
            record.epochs, record.loggers, record.chosen_by = earlier.epochs, earlier.loggers, earlier.chosen_by
            record.peak_memory_mb = earlier.peak_memory_mb
            if (peak := earlier.hardware.get(ACCELERATOR_PEAK)) is not None:
                record.hardware.setdefault(ACCELERATOR_PEAK, peak)
            with explained(self.path):
                for folder in (self.path, self.checkpoints):
                    for entry in folder.glob(".*.tmp"):  # half-written files of a process that was killed
                        entry.unlink(missing_ok=True)
        else:
            self._clear()
            record.started, record.resumed = utc_now(), 0
            self._earlier_s = 0.0
        for folder in (self.figures, self.checkpoints):
            with explained(folder):
                folder.mkdir(exist_ok=True)
        write_text(self.config, config)
        write_text(self.overrides, "".join(f"- {json.dumps(item)}\n" for item in overrides))
        if code_diff:
            write_text(self.code_diff, code_diff)
        else:
            with explained(self.code_diff):
                self.code_diff.unlink(missing_ok=True)  # of the part that is resumed; this part's code is committed
        for name, content in (code or {}).items():
            self._keep_code(name, content)
        self._began_s = time.monotonic()
        reset_peak_memory()
        self._write(record, "running")
        return record

    def _keep_code(self, name: str, content: bytes) -> None:
        path = self.code / name
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_through(path, lambda file: file.write(content))

    def save(self, record: Record) -> None:
        """Write news of the running run."""
        self._write(record, "running")

    def finish(self, record: Record, keep: Sequence[str] = KEPT) -> None:
        """Record that the run is completed, after all its other files are safely on the disk.

        keep: the checkpoints that stay (`KEPT`); the best one stays in any case until the run is tested.
        """
        assert self._began_s is not None, f"{self.path} is finished but was not begun"
        with explained(self.previous):
            self.previous.unlink(missing_ok=True)  # there is nothing left to resume
        tested = any(name.startswith("test/") for name in record.metrics)
        for place, name in ((self.last, "last"), (self.best, "best")):
            if name not in keep and (tested or name != "best"):
                with explained(place):
                    place.unlink(missing_ok=True)
        # A record that outlives a power cut must not vouch for a checkpoint that did not.
        sync_tree(self.path)
        record.error = None
        self._write(record, "completed")

    def fail(self, record: Record, error: BaseException | str) -> None:
        """Record that the run failed, and why in one line."""
        if isinstance(error, BaseException):
            name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            error = f"{name}{str(error).strip() or raised_in(error)}"
        record.error = unwrapped(error)
        self._write(record, "failed")

    def give_up(self, reason: str) -> None:
        """Record that the run failed, under the lock and in place of its own process, which died of the reason."""
        assert self._holds_lock, f"{self.path} is written without its lock"
        record = self.read()
        record.status, record.error, record.finished = "failed", unwrapped(reason), utc_now()
        record.write(self.record)

    def interrupt(self, record: Record, reason: BaseException | None = None) -> None:
        """Record that the run was stopped from outside, and what by where that is known; it can be resumed."""
        record.error = None if reason is None else unwrapped(reason)
        self._write(record, "interrupted")

    def stop(self, record: Record, stop: Stop) -> None:
        """Record that a search has stopped the run at the end of an epoch; it can be resumed."""
        record.error, record.stopped_by = stop.reason, asdict(stop)
        self._write(record, "interrupted")

    def prune(self, stop: Stop) -> None:
        """Record under the lock that a search does not go on with an interrupted run, which can be resumed."""
        assert self._holds_lock, f"{self.path} is written without its lock"
        record = self.read()
        record.status, record.error, record.stopped_by = "interrupted", stop.reason, asdict(stop)
        record.write(self.record)

    def choose(self, search: str, why: Mapping[str, Any]) -> None:
        """Record under the lock that a search has chosen this completed run, and among what."""
        assert self._holds_lock, f"{self.path} is written without its lock"
        record = self.read()
        if record.chosen_by.get(search) != why:
            record.chosen_by[search] = dict(why)
            record.write(self.record)

    def _recorded(self) -> Record | None:
        """Return what the record says; None where there is none."""
        with explained(self.record, "read"):
            if not self.record.exists():
                return None
        try:
            return self.read()
        except UserError:
            # Another process may have begun to clear the folder a moment after we saw the record.
            if self.record.exists():
                raise
            return None

    def _write(self, record: Record, status: Status) -> None:
        assert self._holds_lock, f"{self.path} is written without its lock"
        assert self._began_s is not None, f"{self.path} is written but was not begun"
        record.status = status
        record.finished = None if status == "running" else utc_now()
        # Not the difference of two dates: a clock may be set back.
        record.seconds = round(self._earlier_s + time.monotonic() - self._began_s, 3)
        record.peak_memory_mb = max(record.peak_memory_mb or 0.0, peak_memory_mb())
        record.process = process()
        record.write(self.record)

    def _clear(self) -> None:
        """Remove everything but the lock: the record first and the configuration last, so that no half looks whole."""
        entries = sorted(entry for entry in self.path.iterdir() if entry.name not in _OWN_NAMES)
        known = {value.name for value in vars(self).values() if isinstance(value, Path)}
        foreign = [entry.name for entry in entries if entry.name not in known and not _is_leftover(entry)]
        if foreign and not self.record.exists() and not self.config.exists():
            raise UserError(
                f"{self.path} holds files that are not a run's: {', '.join(foreign[:5])}. "
                "Move them away, then start again."
            )
        with explained(self.path):
            self.record.unlink(missing_ok=True)
            sync_folder(self.path)
            for entry in entries:
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry != self.config:
                    entry.unlink(missing_ok=True)
            self.config.unlink(missing_ok=True)


def _is_leftover(entry: Path) -> bool:
    return entry.name.startswith(".") and entry.name.endswith(".tmp")
