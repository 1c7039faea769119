"""A run or a file as a start for others: the checkpoint that a run's folder stands for, and what weights have seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geocompose.errors import UserError
from geocompose.imagery.pretraining import Pretraining
from geocompose.runs.find import find_run
from geocompose.runs.folder import RunFolder
from geocompose.runs.trust import check_size


def checkpoint_of(path: str) -> str:
    """Return the best checkpoint of a run where `path` is its folder, else the path as it is.

    Raises:
        UserError: the run is not completed, or its checkpoint is missing.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir() or not RunFolder(folder).record.is_file():
        return path
    return str(find_run(folder).best)


def with_checkpoints(backbone: Mapping[str, Any]) -> dict[str, Any]:
    """Return a backbone's configuration with the checkpoints of the runs whose folders it names, in its parts too.

    Raises:
        UserError: see `checkpoint_of`.
    """
    return {
        name: with_checkpoints(value)
        if isinstance(value, Mapping)
        else checkpoint_of(value)
        if name == "ckpt_path" and isinstance(value, str)
        else value
        for name, value in backbone.items()
    }


def seen_by_file(checkpoint: str | Path, stated: Mapping[str, object] | None = None) -> Pretraining | None:
    """Return what the weights in a file were trained on: as its run recorded it, else as a description beside it says.

    stated: `backbone.pretrained_on`.

    Raises:
        UserError: it is stated, too; or see `seen_in_run` and `described`.
    """
    seen = seen_in_run(checkpoint)
    seen = described(checkpoint) if seen is None else seen
    if seen is not None and stated is not None:
        raise UserError(
            f"backbone.pretrained_on says what weights of backbone.ckpt_path have seen, and the run of {checkpoint}, "
            "or the description beside that file, has recorded it: leave it out."
        )
    return seen


def described(weights: str | Path) -> Pretraining | None:
    """Return what FILE.json says that the weights in FILE.safetensors beside it have seen.

    None where there is none; see `geocompose.runs.description.read_description`.

    Raises:
        UserError: see there.
    """
    path = Path(weights).expanduser()
    if not path.is_file() or not path.with_suffix(".json").is_file():
        return None
    from geocompose.runs.description import read_description  # pydantic

    return read_description(path.with_suffix(".json"))


def seen_in_run(checkpoint: str | Path) -> Pretraining | None:
    """Return what the weights in a reconstruction's checkpoint were trained on, as its run recorded it.

    None where the file lies in no run's folder, or its run had labels: of what its weights had seen before, the run's
    data says nothing.

    Raises:
        UserError: the run's record is damaged.
    """
    path = Path(checkpoint).expanduser()
    folder = RunFolder(path.parent.parent)
    if path.parent != folder.checkpoints or not folder.record.is_file():
        return None
    from geocompose.runs.record_schema import check_record  # pydantic

    record = folder.read()
    data: Mapping[str, Any] = record.data
    check_size([data], folder.record)
    if not isinstance(data.get("target"), Mapping) or data["target"].get("kind") != "reconstruction":
        return None
    check_record(record, folder.record)
    units = set(data.get("read_as") or [None])
    unit = units.pop() if len(units) == 1 else None
    numbers = data["normalization"]
    return Pretraining(
        tuple(data["bands"]),
        data.get("unit") if unit is None else unit,
        data.get("level"),
        tuple(numbers["mean"]),
        tuple(numbers["std"]),
    )
