"""launcher=plan_only: nothing is computed here; `action=work` computes slices of the plan, wherever it is run."""

import logging
from collections.abc import Callable, Sequence

from geocompose.launchers.engine import Ended, Job, Started

log = logging.getLogger("geocompose")


class PlanOnlyEngine:
    """Leaves all jobs to others."""

    advice = "action=work computes what is missing (above)."

    def compute(self, jobs: Sequence[Job], told: Callable[[Started | Ended], None]) -> None:
        """Say how the jobs are computed elsewhere."""
        study = jobs[0].log.parent.parent.name
        log.info(
            "launcher=plan_only: nothing is computed here. action=work study=%s action.slice=I/N computes cell "
            "number I of each N, on any machine that has this folder.",
            study,
        )
