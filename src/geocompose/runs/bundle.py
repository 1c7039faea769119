"""A bundle on disk: a folder with what a run has learned, listed in its manifest with the sha256 of each file.

What it says is a stranger's: nothing of it is used before the manifest's types, the files' names, sizes and hashes, and
the targets of the configuration are checked. Free of torch.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn

from geocompose.errors import UserError, shortened
from geocompose.runs.atomic import explained
from geocompose.runs.fingerprint import hash_file
from geocompose.runs.folder import RunFolder
from geocompose.runs.record import Record
from geocompose.runs.trust import check_size

if TYPE_CHECKING:
    from geocompose.runs.bundle_schema import Manifest

MANIFEST = "manifest.json"
CONFIG = "config.yaml"
WEIGHTS = "model.safetensors"
ADAPTER = "adapter"  # the folder that PEFT reads
ADAPTER_CONFIG = f"{ADAPTER}/adapter_config.json"
ADAPTER_WEIGHTS = f"{ADAPTER}/adapter_model.safetensors"
KIND = "geocompose bundle"
SCHEMA = 1
_CODE = re.compile(r"code(/[A-Za-z_]\w*)+\.py", re.ASCII)
_MOST_BYTES = 4 * 2**20  # of the manifest, and of each file that is not weights
_AGAIN = "Ask whoever made it for the bundle again, or make it again with action=export."


@dataclass(frozen=True)
class Bundle:
    """A folder that holds a bundle, and what its manifest says; the files are those of the manifest."""

    path: Path
    manifest: "Manifest"

    @property
    def sha256(self) -> str:
        """What identifies the bundle: of the manifest, which has the sha256 of every other file."""
        return hashlib.sha256((self.path / MANIFEST).read_bytes()).hexdigest()

    def record(self) -> Record:
        """Return what the manifest says of the run, as the run's record does."""
        told = self.manifest
        return Record(
            run_id=told.run_id,
            status="completed",
            choices=dict(told.choices),
            metrics={name: math.nan if value is None else value for name, value in told.metrics.items()},
            model=dict(told.model),
            data=dict(told.data),
            weights=dict(told.weights),
            seeds=dict(told.seeds),
            versions=dict(told.versions),
        )


def is_code(name: str) -> bool:
    """Return whether a bundle may hold a file of this name as text of the user's own modules; it is never imported."""
    return _CODE.fullmatch(name) is not None


def is_bundle(path: Path | str) -> bool:
    """Return whether a path is a folder that holds a manifest, and is not a run's."""
    folder = Path(path).expanduser()
    return (folder / MANIFEST).is_file() and not RunFolder(folder).record.exists()


def read_bundle(path: Path | str) -> Bundle:
    """Return the bundle in a folder, with each of its files checked against the manifest.

    Raises:
        UserError: the manifest is damaged or not a bundle's, or a file is missing, a link, or another one than the
            manifest lists.
    """
    folder = Path(path).expanduser()
    bundle = Bundle(folder, _checked(_manifest(folder / MANIFEST), folder / MANIFEST))
    for name, told in bundle.manifest.files.items():
        _check_file(folder, name, told.sha256, told.bytes)
    return bundle


def _manifest(path: Path) -> dict[str, Any]:
    if path.is_symlink():
        _refuse(path.parent, f"{path.name} is a link")
    with explained(path, "read"):
        if path.stat().st_size > _MOST_BYTES:
            _refuse(path.parent, f"{path.name} is larger than {_MOST_BYTES // 2**20} MiB")
        text = path.read_bytes()
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        _refuse(path.parent, f"{path.name} is not JSON: {error}", error)
    check_size(content, path)
    if not isinstance(content, dict) or content.get("kind") != KIND:
        kind = content.get("kind") if isinstance(content, dict) else None
        raise UserError(f"{path} is not the manifest of a bundle: its kind is {kind!r:.80}, not {KIND!r}.")
    if content.get("schema") != SCHEMA or isinstance(content["schema"], bool):
        raise UserError(
            f"{path} has the schema {content.get('schema')!r:.80}; this version of geocompose knows {SCHEMA}. Use the "
            "version that wrote it."
        )
    return content


def _checked(content: Mapping[str, Any], path: Path) -> "Manifest":
    """Return a manifest held to its types, whose names of files are those that a bundle has.

    Raises:
        UserError: says which value, and what it should be.
    """
    from pydantic import ValidationError  # which readers of runs don't need

    from geocompose.runs.bundle_schema import Manifest

    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        _refuse(path.parent, f"{path.name}: {place:.200}: {first['msg']}; got {first['input']!r:.80}", error)
    needed = {CONFIG, WEIGHTS} | ({ADAPTER_CONFIG, ADAPTER_WEIGHTS} if manifest.adapter is not None else set())
    if missing := sorted(needed - manifest.files.keys()):
        _refuse(path.parent, f"{path.name} lists no {', '.join(missing)}")
    other = [name for name in manifest.files if name not in needed and not is_code(name)]
    if other:
        _refuse(
            path.parent, f"{path.name} lists {shortened([repr(name)[:120] for name in other], 3)}, which no bundle has"
        )
    return manifest


def _check_file(folder: Path, name: str, sha256: str, size: int) -> None:
    """Refuse a file that is not the one of the manifest."""
    path = folder / PurePosixPath(name)
    if path.resolve() != folder.resolve() / PurePosixPath(name):
        _refuse(folder, f"{name} is a link, or in a folder that is one")
    if not path.is_file():
        _refuse(folder, f"{name} is missing")
    if not name.endswith(".safetensors") and size > _MOST_BYTES:
        _refuse(folder, f"{name} is larger than {_MOST_BYTES // 2**20} MiB")
    with explained(path, "read"), open(path, "rb") as file:
        if path.stat().st_size != size or hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            _refuse(folder, f"{name} is not the file that the manifest lists: its sha256 differs")


def _refuse(folder: Path, reason: str, cause: BaseException | None = None) -> NoReturn:
    raise UserError(f"The bundle {folder} is damaged or was changed: {reason}. {_AGAIN}") from cause


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def hash_weights(path: Path) -> str:
    """Return the sha256 of a file of weights, or of the manifest of a bundle that stands for one.

    Raises:
        UserError: it can't be read.
    """
    return hash_file(path / MANIFEST if path.is_dir() else path)
