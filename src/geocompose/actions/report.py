"""A study as one page with all that is needed to believe it, and as Markdown, CSV and LaTeX. Free of torch itself."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geocompose.actions.looked_at import looked_at
from geocompose.actions.own_command import command
from geocompose.cli import refuse_other_overrides
from geocompose.console import console
from geocompose.errors import UserError
from geocompose.experiment import Experiment
from geocompose.runs import load_rules
from geocompose.runs.atomic import write_text
from geocompose.runs.find import find_run
from geocompose.studies.reading import StudyFiles, read_studies

if TYPE_CHECKING:
    from geocompose.reports.study_report import StudyReport
    from geocompose.reports.tile_pictures import Pictures


def report(
    experiment: Experiment,
    studies: list[str] | None = None,
    run: str | None = None,
    table: str | None = None,
    source: str | None = None,
    columns: dict[str, str] | None = None,
    lower_is_better: list[str] | None = None,
    output: str | None = None,
    level: float = 0.95,
    images: bool = True,
    trust: list[str] | None = None,
) -> None:
    """Write the report of a study, of several, of one run, or of a table of published results.

    For the arguments see conf/action/report.yaml. A page that an earlier report has written is replaced.

    Raises:
        UserError: there is no such study, run or table; two of them are given; level is not between 0 and 1; the page
            can't be written.
    """
    given = [name for name, value in (("studies", studies), ("run", run), ("table", table)) if value is not None]
    if len(given) > 1:
        raise UserError(f"A report is of one thing; got action.{' and action.'.join(given)}. Give one of them.")
    if not 0 < level < 1:
        raise UserError(f"action.level must be between 0 and 1, such as 0.95; got {level}.")
    if table is None and (source is not None or columns is not None):
        raise UserError("action.source and action.columns say what action.table holds; give action.table too.")
    if table is not None:
        _report_published(experiment, Path(table).expanduser(), source, columns, lower_is_better, level, output)
        return
    found = looked_at(experiment, studies) if run is None else _alone(experiment, run)
    from geocompose.reports.cell_table import as_csv
    from geocompose.reports.page import page
    from geocompose.reports.study_report import study_report
    from geocompose.reports.text import latex, markdown

    folder = found.folders[0] if run is None else next(iter(found.runs.values())).folder.path
    alone = None if run is None else folder.name
    destination = _destination(output, folder / "report.html")
    told = study_report(found, load_rules(experiment.conf_dir).volatile, level=level, alone=alone)
    shown = [_pictures(experiment, told, place, trust, images=images) for place in range(len(told.sets))]
    typed = command(experiment, experiment.overrides)
    _write(destination, page(told, shown, typed), markdown(told, typed), as_csv(told), latex(told))
    found.tell_damaged()


def _report_published(
    experiment: Experiment,
    table: Path,
    source: str | None,
    columns: dict[str, str] | None,
    lower_is_better: list[str] | None,
    level: float,
    output: str | None,
) -> None:
    from geocompose.reports.published import published_report
    from geocompose.reports.published_page import published_latex, published_markdown, published_page

    refuse_other_overrides(experiment, [], "this report is of a table alone")
    destination = _destination(output, Path(f"{table.stem}_report.html"))
    told = published_report(table, source, columns, lower_is_better, level)
    typed = command(experiment, experiment.overrides)
    _write(
        destination,
        published_page(told, typed),
        published_markdown(told, typed),
        told.as_csv(),
        published_latex(told),
    )


def _alone(experiment: Experiment, run: str) -> StudyFiles:
    refuse_other_overrides(experiment, [], "a run's page is of that run")
    folder = find_run(run, checkpoint=False)
    study = read_studies([folder.path.parent])
    runs = {key: one for key, one in study.runs.items() if one.folder.path.resolve() == folder.path.resolve()}
    if not runs:
        raise UserError(f"{folder.path} holds no run that can be read.")
    return StudyFiles(study.folders, runs)


def _pictures(
    experiment: Experiment, told: "StudyReport", place: int, trust: list[str] | None, *, images: bool
) -> "Pictures | None":
    from geocompose.reports.tile_pictures import extreme_tiles, pictures

    part = told.sets[place]
    best = part.rows[0].cell
    found: dict[int, np.ndarray] = {}
    missing = "images are left out (action.images=false)"
    # Of folds each run has data of its own; the tiles of the first one's would need another run's data.
    if images and len(best.runs[0]) > 1:
        missing = "images are left out, since the test tiles are those of several folds"
    elif images:
        from geocompose.actions.report_images import tile_images

        worst, top = extreme_tiles(best, part.scored)
        tiles = list(dict.fromkeys([*worst, *top]))
        found, missing = tile_images(experiment, best.runs[0][0], part.scored.split, tiles, trust)
    return pictures(best, part.scored, found, missing)


def _destination(output: str | None, usual: Path) -> Path:
    path = usual if output is None else Path(output).expanduser()
    if path.suffix != ".html":
        raise UserError(
            f"action.output must be a page, NAME.html, beside which .md, .csv and .tex are written; got {output}."
        )
    if not path.parent.is_dir():
        raise UserError(f"action.output={output}: the folder {path.parent} does not exist. Create it first.")
    return path


def _write(page_path: Path, page: str, markdown: str, table: str, latex: str) -> None:
    for suffix, text in ((".html", page), (".md", markdown), (".csv", table), (".tex", latex)):
        write_text(page_path.with_suffix(suffix), text)
    console().print(f"written: {page_path} (and .md, .csv, .tex beside it)")
