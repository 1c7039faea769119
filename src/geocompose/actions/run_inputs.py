"""What a run reads beside its configuration, as hashes: part of its identity."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geocompose.configuration.own_code import OwnCode
from geocompose.configuration.weights import existing_weight_files
from geocompose.data.declaration import DataSource
from geocompose.runs.fingerprint import fingerprint, hash_file

log = logging.getLogger("geocompose")


def input_hashes(config: Mapping[str, Any], source: DataSource | None, own: OwnCode | None) -> dict[str, str]:
    """Return hashes of data, weights and code of the user's own, each where there is some.

    Raises:
        UserError: a file is missing or can't be read.
    """
    hashes = {} if own is None else {"code": own.sha256}
    root = config["data"].get("root")
    if root is not None:
        folder = Path(root).expanduser()
        hashes["data"] = fingerprint(_all_files(folder) if source is None else source.input_files, folder)
    elif source is None:
        log.warning("data has no root, so that no file which it reads is part of the run's identity.")
    weights = {key: hash_file(path) for key, path in existing_weight_files(config["backbone"]).items()}
    if weights:
        # Those of several backbones side by side, each in its place, count as one input.
        one, *others = weights.values()
        hashes["weights"] = hashlib.sha256(repr(weights).encode()).hexdigest() if others else one
    return hashes


def _all_files(folder: Path) -> list[Path]:
    """Return every file below a folder: of a data module that declares nothing, it isn't known which it reads."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    log.info("The data does not declare which files it reads: all %s below %s count.", f"{len(files):,}", folder)
    return files
