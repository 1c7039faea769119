"""Show what a study's runs keep beyond what is needed, and remove it when that is confirmed. Free of torch."""

from collections.abc import Sequence

from rich.filesize import decimal
from rich.table import Table

from geocompose.cli import Experiment, refuse_other_overrides
from geocompose.console import console
from geocompose.errors import UserError, nearest
from geocompose.runs.folder import check_study
from geocompose.studies import cleaning
from geocompose.studies.locating import OUTPUTS

_SHOWN = 5  # paths of a kind
_MEANS = {
    "last": "last checkpoints of completed runs",
    "temporary": "half-written files of processes that were killed",
    "best": "best checkpoints of completed, tested runs: these can't be evaluated any more",
    "failed": "folders of failed runs",
    "interrupted": "folders of interrupted runs, which could go on",
}


def clean(experiment: Experiment, remove: Sequence[str] = ("last", "temporary"), confirm: bool = False) -> None:
    """Print what can go of the study's runs, by kind, with its size; with `confirm`, remove it.

    remove: the kinds, of `cleaning.KINDS`. Runs that are being computed are left alone.

    Raises:
        UserError: there is no such study, or a kind is unknown.
    """
    refuse_other_overrides(experiment, ["study"], reason="action=clean looks at runs that are there")
    cleaning.check_kinds(remove)
    name = experiment.config["study"]
    check_study(name)
    study = OUTPUTS / name
    if not study.is_dir():
        known = sorted(path.name for path in OUTPUTS.iterdir() if path.is_dir()) if OUTPUTS.is_dir() else []
        guess = nearest(name, known)
        hint = f" Did you mean study={guess}?" if guess else f" There are: {', '.join(known) or 'none'}."
        raise UserError(f"There is no study {name} below {OUTPUTS.resolve()}.{hint}")
    found = cleaning.rests(study, remove)
    out = console()
    if not found:
        out.print(f"Nothing to remove in {study}: no run has {' or '.join(remove)} beyond what is needed.")
        return
    done = cleaning.remove(found) if confirm else found
    table = Table(title=f"{'removed from' if confirm else 'could be removed from'} {study}", title_justify="left")
    table.add_column("action.remove")
    table.add_column("what")
    table.add_column("number", justify="right")
    table.add_column("size", justify="right")
    for kind in remove:
        sizes = [rest.num_bytes for rest in done if rest.kind == kind]
        table.add_row(kind, _MEANS[kind], str(len(sizes)), decimal(sum(sizes)))
    out.print(table)
    for rest in done[:_SHOWN]:
        out.print(f"  {rest.path}")
    if len(done) > _SHOWN:
        out.print(f"  and {len(done) - _SHOWN:,} more")
    if not confirm:
        out.print("Nothing was removed. action.confirm=true removes it.")
