"""A result that other code of the package has computed is marked: where it is printed again, and in a sweep's table."""

import dataclasses
import io
import logging
from pathlib import Path

import pytest
from rich.console import Console

from geocompose.launchers.in_turn import Jobs
from geocompose.runs import Record, RunFolder
from geocompose.runs import other_code as module
from geocompose.runs.other_code import other_code
from geocompose.studies import closing
from geocompose.studies.cells import Cell, Outcome
from geocompose.studies.closing_table import closing_table
from geocompose.studies.closing_table import other_code as line_of
from tests.kit.command import SMALL, only_run, run

HERE = {"commit": "a" * 40, "dirty": False}


@pytest.mark.parametrize(
    ("recorded", "kept", "now", "diff", "answer"),
    [
        (HERE, None, HERE, "", None),
        ({"commit": "b" * 40, "dirty": False}, None, HERE, "", "another commit of the code: bbbbbbbbbb"),
        (HERE, None, {**HERE, "dirty": True}, "+ x", "other uncommitted changes of the code"),
        ({**HERE, "dirty": True}, "+ x", HERE, "", "other uncommitted changes of the code"),
        ({**HERE, "dirty": True}, "+ x", {**HERE, "dirty": True}, "+ x", None),
        ({**HERE, "dirty": True}, "+ \\udcff", {**HERE, "dirty": True}, "+ \udcff", None),
        ({**HERE, "dirty": True}, "+ x", {**HERE, "dirty": True}, "+ y", "other uncommitted changes of the code"),
        (None, None, HERE, "", None),
        (HERE, None, None, "", None),
    ],
)
def test_a_run_of_other_code_is_told_by_commit_and_by_differences(
    recorded, kept, now, diff, answer, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "git_state", lambda path: now)
    monkeypatch.setattr(module, "git_diff", lambda path: diff)
    if kept is not None:
        (tmp_path / "code.diff").write_text(kept)
    assert other_code(RunFolder(tmp_path), Record("0" * 10, git=recorded)) == answer


def outcome(other: str | None) -> Outcome:
    return Outcome(Path("outputs/x"), {"val/mIoU": 0.5}, 1.0, other is None, None, other)


def shown(cells: list[Cell]) -> str:
    text = io.StringIO()
    Console(file=text, width=100).print(closing_table(cells, ["seed"]))
    return text.getvalue()


def test_the_sweeps_table_marks_cells_of_other_code_and_says_which_below(monkeypatch):
    commit, changes = "another commit of the code: bbbbbbbbbb", "other uncommitted changes of the code"
    cells = [
        Cell([f"seed={seed}"], "done" if what is None else "finished already", outcome(what))
        for seed, what in enumerate([None, commit, commit, changes])
    ]
    table = shown(cells)
    assert table.count("already*") == 3
    assert "done*" not in table
    assert line_of(cells) == f"* computed by {commit} (2 cells), {changes} (1 cell). rerun=true computes a cell again."
    assert line_of(cells[:1]) is None
    printed = io.StringIO()
    monkeypatch.setattr(closing, "console", lambda: Console(file=printed, width=200))
    jobs = Jobs(lambda composed: None, lambda error: None, planned=[cell.overrides for cell in cells], cells=cells)
    jobs.show()
    assert printed.getvalue().count("* computed by another commit") == 1


def test_a_finished_run_is_printed_with_what_else_computed_it(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.chdir(tmp_path)
    command = [*SMALL, "trainer.max_epochs=1", "study=again"]
    run(*command)
    folder = RunFolder(only_run("again"))
    record = folder.read()
    if record.git is None:
        pytest.skip("not under version control here")
    dataclasses.replace(record, git={"commit": "c" * 40, "dirty": False}).write(folder.record)
    run(*command)
    assert "It was computed by another commit of the code: cccccccccc." in caplog.text
