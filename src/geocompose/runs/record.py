"""record.json: all that is known about one run, in a form that later programs can trust."""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, get_args, get_origin

from geocompose.errors import UserError
from geocompose.runs.atomic import explained, write_json

SCHEMA = 1

Status = Literal["running", "completed", "failed", "interrupted"]


@dataclass
class Record:
    """What record.json holds; every value is plain JSON, an unknown one is None or empty.

    status: running, completed, failed or interrupted; after a dead process it still says running (RunFolder.status
        knows better).
    metrics: name -> value, such as test/mIoU; NaN where a metric is not defined.
    seconds: computing time, over all parts of a run that was resumed; up to the last write.
    started, finished: UTC, ISO 8601 with seconds.
    resumed: how many times the run was taken up again.
    choices: the option of each config group, such as backbone: timm; None where a group has none.
    defaults: what the configuration left open and the run decided, by dotted key: value, and why or from where.
    process: host and pid of the process that wrote last, and `alive`, when that was (UTC): renewed at the end of each
        epoch, and every half minute while batches are computed.
    epochs: of each epoch, in order: seconds (training and validation), images_per_s, step_s, the seconds of a batch,
        and data_wait_s, for how long it waited for data (training alone); None where a version that did not measure
        them has trained.
    loggers: of loggers beside metrics.csv, where and under which name they keep this run.
    code: of a run with code of the user's own: sha256 over it, files (names below the run's folder `code`) and versions
        of further packages.
    git: commit and dirty flag of the code, None where there is no repository.
    data, weights: what was read: fingerprint, sha256 and what the data and the backbone say about themselves.
    model: parameters, trainable (at some time of the run), gflops (per image, forward pass, 2 per multiply-add).
    training: epochs, best_epoch (from 0), steps; converged, false where the best epoch was the last one that was
        validated; finished once only the scores are still to come; best_bytes, of the best checkpoint's file; lr, the
        rate and where it is from; layer_rates, where the backbone's fall with depth, by how many times;
        loading, who read samples; features, which of a frozen backbone were read from disk.
    baselines: what needs no network, on the same split: name, detail and metrics each.
    said: what was left out, converted, assumed or allowed, a line each, as the log says it.
    error: the cause in one line, of a run that failed or that the system stopped.
    stopped_by: of a run that a search has stopped at the end of an epoch: what a `watching.Stop` says; empty otherwise,
        and once the run goes on.
    chosen_by: of a run that searches have chosen, by their ids: among how many trials, in which space, by which metric.
    """

    run_id: str
    status: Status = "running"
    command: str = ""
    started: str | None = None
    finished: str | None = None
    seconds: float | None = None
    resumed: int = 0
    error: str | None = None
    stopped_by: dict[str, Any] = field(default_factory=dict)
    chosen_by: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    process: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    epochs: dict[str, list[float | None]] = field(default_factory=dict)
    loggers: dict[str, Any] = field(default_factory=dict)
    baselines: list[dict[str, Any]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)
    seeds: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str | None] = field(default_factory=dict)
    git: dict[str, Any] | None = None
    code: dict[str, Any] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    peak_memory_mb: float | None = None

    def write(self, path: Path) -> None:
        """Write record.json, whole or not at all; what is not a number becomes null.

        Raises:
            UserError: the disk refuses; the old file stands.
        """
        write_json(path, {"schema": SCHEMA, **{part.name: getattr(self, part.name) for part in fields(self)}})

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Return what record.json holds; null among metrics is NaN.

        Raises:
            UserError: the file is missing, cut short, or not a record that this version knows.
        """
        if path.is_dir():
            raise UserError(f"{path} is a folder, where a record is needed.")
        try:
            with explained(path, "read"):
                values = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        except FileNotFoundError as error:
            raise UserError(f"There is no record in {path.parent}: {path.name} is missing.") from error
        except (ValueError, RecursionError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"{path} is damaged (cut short, or not JSON: {error}). "
                "Delete this file and run the same command again to compute the run anew."
            ) from error
        _check(path, values)
        del values["schema"]
        values["metrics"] = _numbers(values.get("metrics", {}))
        for baseline in values.get("baselines", []):
            if isinstance(baseline.get("metrics"), dict):
                baseline["metrics"] = _numbers(baseline["metrics"])
        return cls(**values)


def _check(path: Path, values: object) -> None:
    if not isinstance(values, dict) or "schema" not in values or "run_id" not in values:
        _refuse(path, "it has no schema and run_id")
    if values["schema"] != SCHEMA:
        _refuse(path, f"its schema is {values['schema']!r}, this version knows {SCHEMA}")
    hints = {part.name: part.type for part in fields(Record)}
    unknown = sorted(values.keys() - hints.keys() - {"schema"})
    if unknown:
        _refuse(path, f"this version does not know its {', '.join(map(repr, unknown))}")
    for part in fields(Record):
        if part.name not in values:
            # Only what has no default must be there: a field added later is missing from older records.
            assert part.default is not MISSING or part.default_factory is not MISSING, part.name
        elif not _fits(values[part.name], part.type):
            _refuse(path, f"its {part.name} is {values[part.name]!r:.80}")


def _refuse(path: Path, reason: str) -> NoReturn:
    raise UserError(
        f"{path} is not a record that this version of geocompose wrote: {reason}. Use the version that wrote it, "
        "or move the folder away and run the same command again."
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _fits(value: object, hint: Any) -> bool:
    if isinstance(hint, UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    origin = get_origin(hint) or hint
    if origin is Any:
        return True
    if origin is Literal:
        return value in get_args(hint)
    if origin is dict:
        item = get_args(hint)[1]
        # A metric that is not defined is null in the file.
        return isinstance(value, dict) and all(
            _fits(entry, item) or (entry is None and item is float) for entry in value.values()
        )
    if origin is list:
        return isinstance(value, list) and all(_fits(entry, get_args(hint)[0]) for entry in value)
    if isinstance(value, bool):
        return origin is bool
    return isinstance(value, (int, float) if origin is float else origin)


def _numbers(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in metrics.items()}
