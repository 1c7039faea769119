"""A bundle: what a run has learned, and all that says how to use it, in a folder that is sent to a colleague."""

from collections.abc import Sequence
from pathlib import Path

from geocompose.errors import UserError
from geocompose.export.formats import Source


def write_bundle(source: Source, place: Path) -> Sequence[str]:
    """Write a run's bundle to the folder `place`.

    Raises:
        UserError: the run can't be a bundle.
    """
    raise UserError("action.format=bundle is not written yet.")
