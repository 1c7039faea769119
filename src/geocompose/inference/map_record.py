"""What a map or a table of predictions was made of, as a JSON file beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from geocompose.runs import Record, RunFolder
from geocompose.runs.atomic import write_json
from geocompose.runs.environment import utc_now
from geocompose.runs.fingerprint import hash_file


def record_of(destination: Path) -> Path:
    """Return where the record of a prediction lies: `map.tif.json` beside `map.tif`."""
    return destination.with_name(f"{destination.name}.json")


def write_record(
    destination: Path,
    *,
    run: RunFolder,
    record: Record,
    given: str,
    settings: Mapping[str, object],
    said: Sequence[str],
) -> Path:
    """Write the record of a prediction, whole or not at all; return its path.

    destination: the finished map or table; its sha256 tells whether a record is that of the file beside it. run,
    record: the run's folder and record. given: the input as it was named. settings: how it was read. said: what was
    left out, converted or assumed.

    Raises:
        UserError: it can't be written.
    """
    path = record_of(destination)
    weights = record.training.get("best_sha256") or hash_file(run.best)  # earlier versions recorded none
    content = {
        "output": {"file": destination.name, "sha256": hash_file(destination)},
        "run": {"folder": str(run.path.resolve()), "run_id": record.run_id},
        "weights": {"file": "checkpoints/best.ckpt", "sha256": weights},
        "input": given,
        **settings,
        "said": list(said),
        "written": utc_now(),
    }
    write_json(path, content)
    return path
