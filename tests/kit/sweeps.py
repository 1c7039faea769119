"""Sweeps of runs that take no time, in this process: their exit codes, and what they print."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geocompose.studies.plan import read_plan
from tests.kit import jobs
from tests.kit.command import typed
from tests.kit.swept_runs import write_conf

Sweep = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def light_server() -> Iterator[None]:
    """Let a module's sweeps start their processes without libraries, which these runs don't need."""
    with jobs.light_server():
        yield


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sweep:
    """Return a function that runs a command line and returns its exit code, what it printed and its errors."""
    write_conf(tmp_path / "conf")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("COLUMNS", "80")
    return typed(tmp_path / "conf", monkeypatch, capfd)


def table(study: str = "default") -> list[dict[str, str]]:
    """Return the rows of a study's cells.csv."""
    with open(Path("outputs") / study / "cells.csv", newline="") as file:
        return list(csv.DictReader(file))


def lines(name: str) -> list[str]:
    """Return the lines of a file that runs write to."""
    return Path(name).read_text().split() if Path(name).exists() else []


def planned(study: str = "default") -> list[str]:
    """Return the identities of a study's planned cells."""
    return list(read_plan(Path("outputs") / study).cells)
