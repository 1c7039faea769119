"""What a run reads beside its configuration, as hashes: part of its identity."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geocompose.configuration.weights import existing_weight_files
from geocompose.data.declaration import DataSource
from geocompose.runs.bundle import hash_weights
from geocompose.runs.fingerprint import fingerprint
from geocompose.runs.pretrained import described

log = logging.getLogger("geocompose")


def data_hash(data: Mapping[str, Any], source: DataSource | None) -> str | None:
    """Return a hash of the data's files; None where it has no folder. source: what `data` declares, if it does.

    Raises:
        UserError: a file is missing or can't be read.
    """
    root = data.get("root")
    if root is None:
        if source is None:
            log.warning("data has no root, so that no file which it reads is part of the run's identity.")
        return None
    folder = Path(root).expanduser()
    return fingerprint(_all_files(folder) if source is None else source.input_files, folder)


def weights_hash(backbone: Mapping[str, Any]) -> str | None:
    """Return a hash of the files of weights, or bundles, that a backbone names; None where there are none.

    Raises:
        UserError: a file is missing or can't be read.
    """
    files = existing_weight_files(backbone)
    weights = {key: hash_weights(path) for key, path in files.items()}
    if not weights:
        return None
    # What a description beside a file says decides which of its filters are taken, and which values are read.
    weights |= {f"{key} seen": repr(seen) for key, path in files.items() if (seen := described(path)) is not None}
    # Those of several backbones side by side, each in its place, count as one input.
    one, *others = weights.values()
    return hashlib.sha256(repr(weights).encode()).hexdigest() if others else one


def _all_files(folder: Path) -> list[Path]:
    """Return every file below a folder: of a data module that declares nothing, it isn't known which it reads."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    log.info("The data does not declare which files it reads: all %s below %s count.", f"{len(files):,}", folder)
    return files
