"""What a map or a table of predictions was made of, as a JSON file beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from geocompose.runs import RecordedRun
from geocompose.runs.atomic import write_json
from geocompose.runs.environment import utc_now
from geocompose.runs.fingerprint import hash_file


def record_of(destination: Path) -> Path:
    """Return where the record of a prediction lies: `map.tif.json` beside `map.tif`."""
    return destination.with_name(f"{destination.name}.json")


def write_record(
    destination: Path,
    *,
    run: RecordedRun,
    given: str,
    settings: Mapping[str, object],
    said: Sequence[str],
) -> Path:
    """Write the record of a prediction, whole or not at all; return its path.

    destination: the finished map or table; its sha256 tells whether a record is that of the file beside it.
    given: the input as it was named. settings: how it was read. said: what was left out, converted or assumed.

    Raises:
        UserError: it can't be written.
    """
    path = record_of(destination)
    folder = run.folder.path
    content = {
        "output": {"file": destination.name, "sha256": hash_file(destination)},
        "run": {"folder": str(folder.resolve()), "run_id": run.record.run_id},
        "weights": {"file": run.weights_file.relative_to(folder).as_posix(), "sha256": run.weights_sha256},
        "input": given,
        **settings,
        "said": list(said),
        "written": utc_now(),
    }
    write_json(path, content)
    return path
