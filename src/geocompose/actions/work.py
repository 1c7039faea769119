"""A part of a study's plan computed here: for machines that no launcher reaches. Free of torch itself."""

import re
import sys
from collections.abc import Sequence

from geocompose.cli import refuse_other_overrides
from geocompose.configuration.overrides import key_and_value, swept_keys
from geocompose.errors import UserError, counted
from geocompose.experiment import Experiment
from geocompose.launchers.planning import PlannedCell
from geocompose.launchers.recomposing import Recomposition
from geocompose.launchers.sweep import PlannedSweep
from geocompose.studies.closing import is_failed, show_closing
from geocompose.studies.locating import study_folders
from geocompose.studies.plan import PLAN_NAME, read_plan

# What is the caller's own, whatever a cell was planned with.
_OWN = ("launcher", "rerun", "retry", "study")


def work(experiment: Experiment, slice: str | None = None, trust: list[str] | None = None) -> None:
    """Compute cells of the study's plan, through the configured launcher, and print their table.

    slice: I/N computes cell number I of each N, counted from 1, in the order of the plan; None computes all. trust:
        targets of the user's own that the plan may name.

    Raises:
        UserError: there is no such study or plan, slice is not I/N, or a cell failed; the others are computed all the
            same.
    """
    refuse_other_overrides(experiment, _OWN, "the plan says what each of its cells is")
    part, parts = _part(slice)
    (study,) = study_folders(experiment.config["study"], None)
    plan = read_plan(study)
    if not plan.cells:
        raise UserError(f"There is no plan in {study / PLAN_NAME}. A sweep's command with -m writes it.")
    chosen = list(enumerate(plan.cells.values(), start=1))[part - 1 :: parts]
    if not chosen:
        raise UserError(f"action.slice={slice} is empty: the plan of {study} has {counted(len(plan.cells), 'cell')}.")
    chosen = [(number, cell) for number, cell in chosen if not plan.is_outdated(cell)]
    own = {key: experiment.config[key] for key in _OWN}
    again = Recomposition(study, experiment.conf_dir, experiment.own_dirs, own, experiment.trust(trust))
    cells = again.cells([cell for _, cell in chosen])
    if any(cell.study.resolve() != study.resolve() for cell in cells if cell.folder is not None):
        raise AssertionError(f"cells of {study} are computed elsewhere")
    _compute(cells, [number for number, _ in chosen])


def _compute(cells: list[PlannedCell], numbers: Sequence[int]) -> None:
    """Compute cells and show them. numbers: which of the plan they are, counted from 1."""
    keys = swept_keys([cell.overrides for cell in cells])

    def varied(overrides: Sequence[str]) -> str:
        return " ".join(text for text in overrides if key_and_value(text)[0] in keys)

    for cell in cells:
        cell.title = varied(cell.overrides) or " ".join(cell.overrides)
    sweep = PlannedSweep(cells, list(sys.argv))
    try:
        sweep.run()
    finally:
        results = sweep.results()
        show_closing(results, keys, len(cells), varied, rank=True, numbers=numbers)
        sweep.write_tables()
    if is_failed(results, strict=sweep.strict):
        raise UserError("Not all cells of this slice were computed; see the table.")


def _part(text: str | None) -> tuple[int, int]:
    """Return I and N of a slice I/N."""
    if text is None:
        return 1, 1
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"action.slice must be I/N with I from 1 to N, such as 3/40; got {text!r}.")
    return int(found[1]), int(found[2])
