"""Searches in this process, of runs that take no time."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from geocompose.errors import UserError
from geocompose.launchers import fork_server
from geocompose.launchers.planning import PlannedCell
from tests.kit import jobs
from tests.kit.command import typed
from tests.kit.places import ROOT
from tests.kit.searched_runs import try_out, write_conf

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="package")
def light_server() -> Iterator[None]:
    """Let searches start their processes with these runs loaded, and without libraries, which they don't need."""
    with jobs.light_server(), pytest.MonkeyPatch.context() as patch:
        # mmsegmentation installs a package `tests` of its own, which a server that starts elsewhere would find first.
        patch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
        fork_server.PRELOADED = [*fork_server.PRELOADED, "tests.kit.searched_runs"]
        yield


def refusals(cells: Sequence[PlannedCell]) -> dict[str, str]:
    """Return why cells are impossible, by the identities of their runs."""
    found = {}
    for cell in cells:
        assert cell.experiment is not None
        try:
            try_out(cell.experiment.config)
        except UserError as error:
            found[cell.run_id] = str(error)
    return found


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], light_server: None
) -> Command:
    """Return a function that runs a command line and returns its exit code, what it printed and its errors."""
    # Tried in this process: how a process of its own does it is tested with the launchers.
    for user in ("search.searching", "launchers.sweep"):
        monkeypatch.setattr(f"geocompose.{user}.refusals", refusals)
    write_conf(tmp_path / "conf")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("COLUMNS", "120")
    return typed(tmp_path / "conf", monkeypatch, capfd)
