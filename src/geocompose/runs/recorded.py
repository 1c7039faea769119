"""A completed run as it was recorded, read once: its folder, its configuration and its record."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geocompose.errors import UserError, first_line
from geocompose.runs.bounded_yaml import bounded_text
from geocompose.runs.bundle import MANIFEST, Bundle, is_bundle, read_bundle
from geocompose.runs.find import find_run
from geocompose.runs.fingerprint import hash_file
from geocompose.runs.folder import RunFolder
from geocompose.runs.identity_rules import IdentityRules
from geocompose.runs.record import Record
from geocompose.runs.trust import Trust, check_size


@dataclass(frozen=True)
class RecordedRun:
    """What a completed run left, in its folder or in a bundle.

    config: its configuration. record: what record.json holds; of a bundle, what the manifest says of it. Targets have
    their names of today in both. bundle: None for a run's own folder. base: the file of weights that the run started
    from, or the folder that it lies in, where the user says so.
    """

    folder: RunFolder
    config: dict[str, Any]
    record: Record
    bundle: Bundle | None = None
    base: Path | None = None

    @property
    def weights_file(self) -> Path:
        """The file that says which weights these are."""
        return self.folder.best if self.bundle is None else self.bundle.path / MANIFEST

    @property
    def weights_sha256(self) -> str:
        """The sha256 of `weights_file`."""
        if self.bundle is not None:
            return self.bundle.sha256
        return self.record.training.get("best_sha256") or hash_file(self.folder.best)  # earlier versions recorded none


def open_run(
    path: Path | str, rules: IdentityRules, trust: Trust, *, checkpoint: bool = True, base: Path | str | None = None
) -> RecordedRun:
    """Return the completed run in a folder, or in a bundle, whichever version wrote it; nothing it names is imported.

    rules: say what has moved since. trust: which targets it may name. checkpoint: the run's best checkpoint is needed
        too. base: see `RecordedRun`.

    Raises:
        UserError: see `find_run`, `read_bundle`, `Trust.check` and `check_record`; or its configuration is missing or
            damaged.
    """
    from geocompose.runs.record_schema import check_record  # pydantic, which readers of many records don't need

    bundle = read_bundle(path) if is_bundle(path) else None
    folder = RunFolder(bundle.path) if bundle is not None else find_run(path, checkpoint=checkpoint)
    file = folder.record if bundle is None else bundle.path / MANIFEST
    config = read_configuration(folder.config)
    config = rules.now_named(config)
    trust.check(config, folder.config)
    record = folder.read() if bundle is None else bundle.record()
    check_size([record.data, record.model], file)
    check_record(record, file)
    record.model = rules.now_named(record.model)  # the planned necks are built again from it
    for number, neck in enumerate(record.model.get("necks") or ()):
        trust.check_part("neck", f"model.necks[{number}]", neck, file)
    return RecordedRun(folder, config, record, bundle, None if base is None else Path(base).expanduser())


def read_configuration(path: Path) -> dict[str, Any]:
    """Return what a run's config.yaml holds, as it stands there; nothing that it names is imported.

    Raises:
        UserError: it is missing, damaged, or larger than a configuration can be.
    """
    import yaml  # not needed to read records

    try:
        config = yaml.safe_load(bounded_text(path))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing: it says what the run is. Put it back, or compute the run again."
        ) from error
    except UserError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(_damaged(path, f"not YAML: {first_line(error)}")) from error
    if not isinstance(config, dict):
        raise UserError(_damaged(path, "not a mapping"))
    return config


def _damaged(path: Path, reason: str) -> str:
    return f"{path} is damaged ({reason}). Put it back, or compute the run again with rerun=true."
