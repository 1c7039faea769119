"""Where the weights lie that a run started from, and left as they were: its base."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geocompose.configuration.weights import weight_files
from geocompose.errors import UserError
from geocompose.runs import RecordedRun
from geocompose.runs.bundle import hash_weights, is_bundle

OTHER_BASE = (
    "Weights of a file: give the very file that the run started from (action.base=FILE). Random numbers, which are "
    "drawn anew from the run's seed: use the versions of torch, of the backbone's library and of geocompose that "
    "manifest.json names."
)


def with_base_files(run: RecordedRun) -> dict[str, Any]:
    """Return the configuration of a run's backbone with the files of its base as they lie here.

    Raises:
        UserError: a file is not there, or is another one than a bundle's manifest says; or `base` was given to a run
            that started from no file.
    """
    backbone: dict[str, Any] = run.config["backbone"]
    files = weight_files(backbone)
    if run.base is not None:
        if not files:
            raise UserError(
                f"action.base={run.base} would change nothing: the run started from no file of weights. Leave it out."
            )
        backbone = _moved(backbone, run.base, one=len(files) == 1)
        files = weight_files(backbone)
    if run.bundle is None:
        return backbone
    assert run.bundle.manifest.base is not None
    for key, path in files.items():
        place = Path(path).expanduser()
        if not (place.is_file() or is_bundle(place)):
            raise UserError(
                f"The bundle {run.bundle.path} holds only what was learned beside its base, and the base is not here: "
                f"{key}={path} is no file. Write action.base=FILE to say where your copy of it lies (sha256 "
                f"{run.bundle.manifest.base.files.get(key, 'not known')})."
            )
        told = run.bundle.manifest.base.files.get(key)
        if told is not None and hash_weights(place) != told:
            raise UserError(
                f"{place} is not the base of the bundle {run.bundle.path}: its sha256 is not {told}. Write "
                "action.base=FILE to name the file that the run started from."
            )
    return backbone


def _moved(backbone: Mapping[str, Any], base: Path, *, one: bool) -> dict[str, Any]:
    """Return a backbone whose files of weights lie in another place: `base` is the one file, or the folder of all."""
    moved: dict[str, Any] = {}
    for name, value in backbone.items():
        if isinstance(value, Mapping):
            moved[name] = _moved(value, base, one=one)
        elif name == "ckpt_path" and value is not None:
            inside = base.is_dir() and not is_bundle(base)
            if not inside and not one:
                raise UserError(
                    f"action.base={base}: the run started from several files of weights. Give the folder that they lie "
                    "in, under their own names."
                )
            moved[name] = str(base / Path(value).name if inside else base)
        else:
            moved[name] = value
    return moved
