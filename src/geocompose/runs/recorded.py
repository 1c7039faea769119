"""A completed run as it was recorded, read once: its folder, its configuration and its record."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geocompose.errors import UserError, first_line
from geocompose.runs.bounded_yaml import bounded_text
from geocompose.runs.find import find_run
from geocompose.runs.folder import RunFolder
from geocompose.runs.identity_rules import IdentityRules
from geocompose.runs.record import Record
from geocompose.runs.trust import Trust, check_size


@dataclass(frozen=True)
class RecordedRun:
    """What a completed run left.

    config: its configuration. record: what record.json holds. Targets have their names of today in both.
    """

    folder: RunFolder
    config: dict[str, Any]
    record: Record


def open_run(path: Path | str, rules: IdentityRules, trust: Trust, *, checkpoint: bool = True) -> RecordedRun:
    """Return the completed run in a folder, whichever version recorded it; nothing that it names is imported.

    rules: say what has moved since. trust: which targets it may name. checkpoint: the run's best checkpoint is needed
        too.

    Raises:
        UserError: see `find_run`, `Trust.check` and `check_record`; or its configuration is missing or damaged.
    """
    from geocompose.runs.record_schema import check_record  # pydantic, which readers of many records don't need

    folder = find_run(path, checkpoint=checkpoint)
    config = read_configuration(folder.config)
    config = rules.now_named(config)
    trust.check(config, folder.config)
    record = folder.read()
    check_size([record.data, record.model], folder.record)
    check_record(record, folder.record)
    record.model = rules.now_named(record.model)  # the planned necks are built again from it
    for number, neck in enumerate(record.model.get("necks") or ()):
        trust.check_part("neck", f"model.necks[{number}]", neck, folder.record)
    return RecordedRun(folder, config, record)


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
