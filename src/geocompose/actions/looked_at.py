"""The studies that an action only looks at. Free of torch."""

from geocompose.cli import refuse_other_overrides
from geocompose.errors import UserError
from geocompose.experiment import Experiment
from geocompose.studies.locating import study_folders
from geocompose.studies.reading import StudyFiles, read_studies


def looked_at(experiment: Experiment, studies: list[str] | None) -> StudyFiles:
    """Return what lies in the studies that an action is to look at.

    Raises:
        UserError: there is no such study, or its plan is damaged; or an override that would change nothing.
    """
    refuse_other_overrides(experiment, ["study"], "this action only looks at what is there")
    if studies is not None and any(text.lstrip("+").startswith("study=") for text in experiment.overrides):
        raise UserError("study and action.studies both say which studies to look at; give one of them.")
    return read_studies(study_folders(experiment.config["study"], studies))
