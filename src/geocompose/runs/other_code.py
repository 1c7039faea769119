"""Whether a recorded run was computed by the code of this package that is here now."""

from functools import cached_property
from typing import Any

from geocompose.runs.environment import git_diff, git_state, source_folder
from geocompose.runs.folder import RunFolder
from geocompose.runs.record import Record


class CodeHere:
    """The code of this package as it is now; git is asked once."""

    @cached_property
    def state(self) -> dict[str, Any] | None:
        """Commit and dirty flag; None where it is not under version control."""
        return git_state(source_folder())

    @cached_property
    def diff(self) -> bytes:
        """The uncommitted changes."""
        return git_diff(source_folder()).encode("utf-8", "backslashreplace")


def other_code(folder: RunFolder, record: Record, here: CodeHere | None = None) -> str | None:
    """Return by what else a run was computed, such as `another commit of the code: 0123456789`; None where alike.

    None too where one of the two was not under version control. here: for callers who ask of many runs.
    """
    here = here or CodeHere()
    now = here.state
    if not record.git or not now:
        return None
    if record.git["commit"] != now["commit"]:
        return f"another commit of the code: {record.git['commit'][:10]}"
    if not record.git.get("dirty") and not now["dirty"]:
        return None
    kept = folder.code_diff.read_bytes() if folder.code_diff.is_file() else b""
    return None if kept == here.diff else "other uncommitted changes of the code"
