"""How far a study is: states, time left, who computes what, the best so far. From files alone, without torch."""

from geocompose.actions.looked_at import looked_at
from geocompose.console import console
from geocompose.experiment import Experiment
from geocompose.runs import load_rules
from geocompose.studies.progress import progress


def status(experiment: Experiment, studies: list[str] | None = None) -> None:
    """Print how far the study is.

    studies: in place of `study` several that are looked at as one, by name or folder; a run in two of them counts once.

    Raises:
        UserError: there is no such study, or its plan is damaged.
    """
    found = looked_at(experiment, studies)
    out = console()
    out.print(f"study: {found.name}")
    for line in progress(found, load_rules(experiment.conf_dir).volatile):
        out.print(line)
    found.tell_damaged()
