"""A recorded run's best model, written for other machines and programs."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from geocompose.actions.data_to_score import data_to_score, opened_alike
from geocompose.catalog.optional import require
from geocompose.cli import Experiment, refuse_other_overrides
from geocompose.console import console
from geocompose.export.formats import FORMATS, FormatName
from geocompose.export.placing import check_place, placed, size_of
from geocompose.export.source import Source
from geocompose.imagery.samples import Target
from geocompose.inference.map_record import record_of
from geocompose.runs import RecordedRun, load_rules, open_run
from geocompose.runs.atomic import write_json
from geocompose.runs.environment import utc_now, versions
from geocompose.runs.fingerprint import hash_file

if TYPE_CHECKING:
    from geocompose.data.module import SceneData

EXPORTS = "exports"


def export(
    experiment: Experiment,
    run: str,
    format: FormatName = "bundle",
    output: str | None = None,
    overwrite: bool = False,
    base: str | None = None,
    trust: list[str] | None = None,
) -> None:
    """Write the best model of the run in the folder `run`, or of a bundle, in a format.

    format: `bundle`, a folder for a colleague, which evaluate and predict take as they take a run; `merged`, a plain
        model without adapters; `pt2`, a program of torch.export; `onnx`.
    output: the file or folder to write; None is in the run's folder `exports`, named after the run and the format.
    overwrite: replace what an earlier export has written there.
    base: the file of weights that the run started from, where it is not in the run and lies elsewhere here; or the
        folder of several.
    trust: targets that the run may name beside those in conf/, such as [my_lab.Net]: they are imported and called.

    Raises:
        UserError: the run or the place can't be used as asked, or the format can't hold such a model.
    """
    refuse_other_overrides(experiment, [])
    recorded = open_run(run, load_rules(experiment.conf_dir), experiment.trust(trust), base=base)
    chosen = FORMATS[format]
    destination = _destination(recorded, format, output)
    check_place(destination, chosen.ending, overwrite=overwrite)
    if chosen.ending:
        check_place(record_of(destination), ".json", overwrite=overwrite)
    if chosen.needs:
        require(chosen.needs)
    from geocompose.inference.trained import load_trained

    source = Source(recorded, load_trained(recorded), partial(_own_data, experiment, recorded))
    with placed(destination) as place:
        lines = chosen.write(source, place)
    if chosen.ending:
        write_json(record_of(destination), _record(destination, format, recorded, lines))
    out = console()
    for line in lines:
        out.print(line)
    out.print(f"written: {destination} ({decimal(size_of(destination))})")


def _destination(recorded: RecordedRun, format: FormatName, output: str | None) -> Path:
    """Return the path to write."""
    if output is not None:
        return Path(output).expanduser()
    path = recorded.folder.path.resolve()
    ending = FORMATS[format].ending
    return recorded.folder.path / EXPORTS / (f"{path.name}{ending}" if ending else f"{path.name}-{format}")


def _record(destination: Path, format: FormatName, recorded: RecordedRun, lines: Sequence[str]) -> dict[str, Any]:
    """Return what the record beside a file says: of which run it is, and what was found when it was made."""
    return {
        "output": {"file": destination.name, "sha256": hash_file(destination)},
        "format": format,
        "run": {"folder": str(recorded.folder.path.resolve()), "run_id": recorded.record.run_id},
        "weights_sha256": recorded.weights_sha256,
        "said": list(lines),
        "versions": versions(),
        "written": utc_now(),
    }


def _own_data(experiment: Experiment, recorded: RecordedRun) -> "SceneData":
    """Return the run's own data, read as in its training; a few tiles are asked for, so that it is not scanned.

    Raises:
        UserError: it is not here.
    """
    record = recorded.record
    chosen, source, _ = data_to_score(experiment, recorded.config, record, None)
    return opened_alike(chosen, source, record.data, Target.from_record(record.data.get("target")))
