"""The command line of one run, as a person would paste it."""

import shlex
import sys

from geocompose.experiment import Experiment


def own_command(experiment: Experiment) -> str:
    """Return what computes this very run, quoted for a shell: as it was typed, or of a sweep the cell's own line."""
    if not experiment.in_sweep:
        return shlex.join(["python", *sys.argv])
    typed = [str(folder) for folder in experiment.config_dirs if folder != experiment.conf_dir]
    flags = [word for folder in typed for word in ("--config-dir", folder)]
    return shlex.join(["python", sys.argv[0], *flags, *experiment.overrides])
