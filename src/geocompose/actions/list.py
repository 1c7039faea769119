"""A table of a study's runs: what tells them apart, their metrics, seconds and parameters. Free of torch."""

from pathlib import Path

from geocompose.actions.looked_at import looked_at
from geocompose.console import console
from geocompose.errors import UserError, counted
from geocompose.experiment import Experiment
from geocompose.runs import load_rules
from geocompose.runs.atomic import write_text
from geocompose.studies.run_table import run_table, runs_as_csv, show_runs


def list_runs(
    experiment: Experiment,
    sort: str | None = None,
    metrics: list[str] | None = None,
    csv: str | None = None,
    studies: list[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Print a table of the study's runs.

    sort: a metric (best first), a setting or a column; null: the metric by which the runs were selected. metrics: those
    to show; null: that one, of validation and test. csv: a file to write, with all settings and metrics. overwrite:
    replace it. studies: in place of `study` several that are looked at as one, by name or folder.

    Raises:
        UserError: there is no such study, metric or column, or the file exists already.
    """
    found = looked_at(experiment, studies)
    destination = None if csv is None else _free(csv, overwrite=overwrite)
    out = console()
    if found.runs:
        table = run_table(found, sort, load_rules(experiment.conf_dir).volatile)
        show_runs(table, metrics)
        if destination is not None:
            write_text(destination, runs_as_csv(table))
            out.print(f"written: {destination}")
    else:
        out.print(f"There are no runs in {found.name}.")
    if found.cells:
        out.print(f"{counted(len(found.cells), 'cell')} without a run: action=status says why.")
    found.tell_damaged()


def _free(csv: str, *, overwrite: bool) -> Path:
    path = Path(csv).expanduser()
    if path.exists() and not overwrite:
        raise UserError(f"action.csv={csv} exists already; action.overwrite=true replaces it.")
    if not path.parent.is_dir():
        raise UserError(f"action.csv={csv}: the folder {path.parent} does not exist. Create it first.")
    return path
