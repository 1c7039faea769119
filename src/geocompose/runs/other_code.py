"""Whether a recorded run was computed by the code of this package that is here now."""

from geocompose.runs.environment import git_diff, git_state, source_folder
from geocompose.runs.folder import RunFolder
from geocompose.runs.record import Record


def other_code(folder: RunFolder, record: Record) -> str | None:
    """Return by what else a run was computed, such as `another commit of the code: 0123456789`; None where alike.

    None too where one of the two was not under version control.
    """
    now = git_state(source_folder())
    if not record.git or not now:
        return None
    if record.git["commit"] != now["commit"]:
        return f"another commit of the code: {record.git['commit'][:10]}"
    if not record.git.get("dirty") and not now["dirty"]:
        return None
    kept = folder.code_diff.read_bytes() if folder.code_diff.is_file() else b""
    here = git_diff(source_folder()).encode("utf-8", "backslashreplace")
    return None if kept == here else "other uncommitted changes of the code"
