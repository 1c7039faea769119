"""The command line as it is typed, and as Hydra takes it."""

from collections.abc import Sequence
from pathlib import Path

from geocompose.configuration.own_parts import opened
from geocompose.configuration.patterns import as_doctor_takes_it, expanded


def as_hydra_takes_it(typed: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Return the arguments with patterns of options resolved, and keys of a user's own classes as new ones.

    folders: of config groups: `conf/`, and those that were typed.

    Raises:
        UserError: a pattern fits no option.
    """
    arguments = expanded(typed, folders)
    return opened(as_doctor_takes_it(arguments) if "action=doctor" in arguments else arguments)
