"""The state of a study's cells from its files alone, its table as CSV, and what a sweep is going to take."""

import csv
from pathlib import Path

import pytest

from geocompose.errors import size_in_words
from geocompose.runs import Record, RunFolder
from geocompose.studies.cells_csv import write_cells_csv
from geocompose.studies.estimate import duration, estimate
from geocompose.studies.plan import PlanCell, PlanEvent, add_cells, add_events
from geocompose.studies.states import states


def plan(study: Path, *identities: str) -> None:
    add_cells(study, [PlanCell(each, (f"seed={each}", "study=a"), {"backbone": "vit"}) for each in identities])


def made(study: Path, identity: str, how: str, seconds: float = 3.0) -> RunFolder:
    """Make a run that ended in some way."""
    folder = RunFolder(study / f"vit-fcn-none-{identity}")
    with folder.lock():
        record = folder.begin(Record(identity), config="{}", overrides=[])
        record.metrics = {"val/mIoU": 0.5, "test/mIoU": float("nan"), "val/accuracy_micro": 0.75}
        if how == "done":
            folder.finish(record)
        if how == "failed":
            folder.fail(record, "The loss is not a number.")
    written = folder.read()
    written.seconds = seconds
    written.write(folder.record)
    return folder


def test_each_state_is_read_from_plan_record_and_lock(tmp_path: Path):
    plan(tmp_path, "done", "failed", "killed", "held", "early", "refused", "waiting", "accepted", "resumed")
    for identity, how in (("done", "done"), ("failed", "failed"), ("killed", "killed"), ("resumed", "done")):
        made(tmp_path, identity, how)
    add_events(
        tmp_path, [PlanEvent("failed", "early", "killed by SIGSEGV (11)"), PlanEvent("refused", "refused", "No.")]
    )
    add_events(tmp_path, [PlanEvent("refused", "accepted", "No."), PlanEvent("accepted", "accepted")])
    add_events(tmp_path, [PlanEvent("failed", "resumed", "of an attempt before")])
    running = RunFolder(tmp_path / "vit-fcn-none-held")
    with running.lock():
        running.begin(Record("held"), config="{}", overrides=[])
        found = {cell.id: (state.state, state.reason) for cell, state in states(tmp_path)}
    assert found.pop("held")[0] == "running"
    assert found == {
        "done": ("done", ""),
        "failed": ("failed", "The loss is not a number."),
        "killed": ("interrupted", ""),
        "early": ("failed", "killed by SIGSEGV (11)"),
        "refused": ("refused", "No."),
        "waiting": ("waiting", ""),
        "accepted": ("waiting", ""),
        "resumed": ("done", ""),
    }


def test_a_damaged_record_hides_no_other_cell(tmp_path: Path):
    plan(tmp_path, "a", "b")
    made(tmp_path, "a", "done").record.write_text('{"schema": 1')
    made(tmp_path, "b", "done")
    (first, second) = [state for _, state in states(tmp_path)]
    assert (first.state, second.state) == ("unreadable", "done")
    assert "record.json is damaged" in first.reason


def test_the_csv_has_a_row_per_cell_with_what_differs_and_all_metrics(tmp_path: Path):
    plan(tmp_path, "a", "b")
    made(tmp_path, "a", "done")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").touch()
    with open(write_cells_csv(tmp_path), newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["id"], first["state"], first["backbone"], first["seed"], first["seconds"]) == (
        "a",
        "done",
        "vit",
        "a",
        "3.0",
    )
    assert (first["val/mIoU"], first["test/mIoU"], first["val/accuracy_micro"]) == ("0.5", "", "0.75")
    assert (first["folder"], first["log"]) == ("vit-fcn-none-a", "logs/a.log")
    assert (second["state"], second["val/mIoU"], second["folder"]) == ("waiting", "", "")
    assert "study" not in first  # the same in all cells


def test_time_and_disk_are_those_of_finished_runs_of_the_same_parts(tmp_path: Path):
    study = tmp_path / "outputs" / "a"
    for number, seconds in enumerate((100.0, 200.0, 300.0)):
        folder = made(study, f"{number}", "done", seconds)
        (folder.checkpoints / "best.ckpt").write_bytes(bytes(2_000_000))
    made(study, "killed", "killed", 9999.0)
    waiting = [RunFolder(study / f"vit-fcn-none-{number}") for number in range(10, 16)]
    assert (
        estimate(waiting, 9, 3, 2)
        == "9 cells: 3 finished, 6 to compute, about 10 min (2 at a time) and 12.0 MB on disk."
    )
    other = [*waiting, RunFolder(study / "swin-fcn-none-1")]
    assert "for 6 of them; of the other 1 cell no run of the same parts has finished here" in estimate(other, 10, 3)
    elsewhere = [RunFolder(tmp_path / "outputs" / "b" / "vit-fcn-none-1")]
    assert "about 3 min" in estimate(elsewhere, 1, 0)  # another study's, where there is none of its own
    assert "is not known" in estimate([RunFolder(study / "swin-unet-none-1")], 1, 0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (5399, "1 h 30 min"), (7800, "2 h 10 min"), (3 * 86400, "3 days")],
)
def test_durations_are_said_in_words(seconds: float, words: str):
    assert duration(seconds) == words


def test_sizes_are_said_in_words():
    sizes = (1, 10, 99_000, 2.5e6, 1.2e9, 3e12)
    words = ["1 byte", "10 bytes", "99.0 kB", "2.5 MB", "1.2 GB", "3.0 TB"]
    assert [size_in_words(size) for size in sizes] == words
