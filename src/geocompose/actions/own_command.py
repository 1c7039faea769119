"""The command line of one run, as a person would paste it."""

import shlex
import sys
from collections.abc import Sequence

from geocompose.experiment import Experiment
from geocompose.program import typed_words, words


def own_command(experiment: Experiment) -> str:
    """Return what computes this very run, quoted for a shell: as it was typed, or of a sweep the cell's own line."""
    if not experiment.in_sweep:
        return shlex.join([*typed_words(), *sys.argv[1:]])
    return _joined(experiment, typed_words(), experiment.overrides)


def command(experiment: Experiment, overrides: Sequence[str]) -> str:
    """Return a command line that is quoted for a shell, with the folders of config groups that were typed."""
    return _joined(experiment, words(), overrides)


def _joined(experiment: Experiment, start: Sequence[str], overrides: Sequence[str]) -> str:
    flags = [word for folder in experiment.own_dirs for word in ("--config-dir", str(folder))]
    return shlex.join([*start, *flags, *overrides])
