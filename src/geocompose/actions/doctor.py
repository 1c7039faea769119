"""Try every backbone with every decoder for every task, without weights, and write which fit and what they cost."""

import logging
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from geocompose.cli import Experiment
from geocompose.configuration.diagnosis import groups
from geocompose.configuration.patterns import as_doctor_is_asked
from geocompose.console import console
from geocompose.doctor.cells import Cells, chosen_cells
from geocompose.doctor.report import write_report
from geocompose.doctor.rounds import examined
from geocompose.doctor.row import Row
from geocompose.doctor.table import row_writer
from geocompose.errors import UserError, at_least, counted
from geocompose.runs.atomic import explained

log = logging.getLogger("geocompose")

# What the doctor varies itself, and what no composition depends on.
_OWN = ("backbone", "decoder", "task", "experiment")
_IDLE = ("scheduler", "logger", "study", "seed", "rerun", "retry")


def doctor(
    experiment: Experiment,
    backbones: str | list[str] | None = None,
    decoders: str | list[str] | None = None,
    tasks: str | list[str] | None = None,
    workers: int | None = None,
    output: str = "outputs/doctor",
) -> None:
    """Try all cells and write OUTPUT.csv (a row per cell, as they come), OUTPUT.md and OUTPUT.png.

    Everything but backbone, decoder and task comes from the command line, such as peft=lora or data.tile_px=224.

    backbones, decoders, tasks: what the command line says as `backbone=prithvi*,swin`: a pattern, or a list; None is
        all.
    workers: processes; None is one for each core, and this one alone for few cells.
    output: path of the files, without the suffix.

    Raises:
        UserError: a pattern or an override can't be used, or a cell failed without a reason in our own words; the table
            is written all the same, then.
    """
    _refuse_overrides(experiment)
    if workers is not None:
        at_least("action.workers", workers, 1)
    cells = chosen_cells(experiment.conf_dir, experiment.overrides, backbones, decoders, tasks)
    out = console()
    for option in cells.left_out:
        out.print(f"left out: {option.group}={option.name}: {option.reason}")
    table = Path(f"{output}.csv")
    with explained(table.parent):
        table.parent.mkdir(parents=True, exist_ok=True)
    done = "replaced" if table.exists() else "written"
    rows = _fill(table, cells, workers)
    write_report(Path(output), rows, cells, _settings(experiment))
    _show(rows)
    out.print(f"{done}: {table}, {output}.md, {output}.png")
    unexpected = [row for row in rows if row.unexpected]
    if unexpected:
        first = unexpected[0]
        raise UserError(
            f"{counted(len(unexpected), 'cell')} failed unexpectedly, which is a defect: see the "
            f"reasons that begin with 'unexpected'. The first: {first.backbone}, {first.decoder}, {first.task}: "
            f"{first.reason}"
        )


def _refuse_overrides(experiment: Experiment) -> None:
    known = groups(experiment.conf_dir)
    for text in experiment.overrides:
        key = text.lstrip("+~").partition("=")[0]
        group = key.partition(".")[0].partition("@")[0].partition("/")[0]
        if key in _OWN or (group in ("backbone", "decoder") and group in known):
            argument = f"{group}=PATTERN" if group != "experiment" else "backbone=PATTERN"
            raise UserError(
                f"{text} would change nothing: the doctor tries the options of backbone, decoder and task as they are. "
                f"{argument} chooses among them; everything else comes from the command line. action=explain tries one "
                "composition."
            )
        if group in _IDLE:
            raise UserError(f"{text} would change nothing: no composition depends on it. Leave it out.")


def _settings(experiment: Experiment) -> list[str]:
    """Return the overrides that say what was tried, for the report's head."""
    own = ("action.workers", "debug")
    return as_doctor_is_asked(text for text in experiment.overrides if text.lstrip("+").partition("=")[0] not in own)


def _fill(table: Path, cells: Cells, workers: int | None) -> list[Row]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("cells"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    rows = []
    with row_writer(table) as add, Progress(*columns, transient=True) as progress:
        bar = progress.add_task("", total=len(cells))
        for row in examined(cells, workers):
            add(row)
            rows.append(row)
            progress.update(bar, advance=1, description=row.backbone)
    return rows


def _show(rows: Sequence[Row]) -> None:
    from rich.table import Table

    shown = Table(title="cells", title_justify="left")
    for column in ("task", "ok", "refused", "unexpected"):
        shown.add_column(column, justify="left" if column == "task" else "right")
    for task in dict.fromkeys(row.task for row in rows):
        own = Counter(_kind(row) for row in rows if row.task == task)
        shown.add_row(task, *(f"{own[kind]:,}" for kind in ("ok", "refused", "unexpected")))
    out = console()
    out.print(shown)
    ok = sum(row.status == "ok" for row in rows)
    median = statistics.median(row.seconds for row in rows)
    out.print(f"{ok:,} of {counted(len(rows), 'cell')} ok ({ok / len(rows):.1%}); {median:.2f} s per cell (median)")


def _kind(row: Row) -> str:
    return "unexpected" if row.unexpected else row.status
