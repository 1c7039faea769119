"""A sweep of runs: planned, tried, computed, read from the records; the same command goes on."""

import json
from pathlib import Path

from tests.kit.sweeps import Sweep, light_server, lines, planned, sweep, table

__all__ = ["light_server", "sweep"]  # fixtures


def test_a_sweep_is_planned_computed_and_answered_from_its_records(sweep: Sweep):
    code, printed, errors = sweep("-m", "seed=0,1,2")
    assert code == 0
    assert "3 cells: 0 finished, 3 to compute" in printed
    assert [line for line in printed.splitlines() if line.startswith("──")][1].startswith("── 2 of 3: seed=1 ─")
    assert "3 cells: 3 done" in printed
    assert "outputs/default/cells.csv" in errors
    assert [row["state"] for row in table()] == ["done"] * 3
    assert [(row["seed"], row["val/mIoU"]) for row in table()] == [("0", "0.5"), ("1", "0.51"), ("2", "0.52")]
    code, printed, _ = sweep("-m", "seed=0,1,2")
    assert code == 0
    assert printed.rstrip().endswith("3 cells: 3 finished already")
    assert len(lines("begun.txt")) == 3


def test_the_best_cells_stand_first_with_their_own_numbers(sweep: Sweep):
    _, printed, _ = sweep("-m", "seed=0,1,2")
    rows = [line.split("│")[1:3] for line in printed.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [["3", "2"], ["2", "1"], ["1", "0"]]


def test_more_seeds_run_only_what_is_new_and_the_plan_grows(sweep: Sweep):
    sweep("-m", "seed=0,1")
    first = planned()
    _, printed, _ = sweep("-m", "seed=0,1,2,3")
    assert "4 cells: 2 finished, 2 to compute, about" in printed
    assert "4 cells: 2 done, 2 finished already" in printed
    assert planned()[:2] == first
    assert len(planned()) == 4
    assert len(lines("begun.txt")) == 4
    _, printed, _ = sweep("-m", "seed=3,4")
    assert "2 cells: 1 done, 1 finished already" in printed
    assert len(table()) == 5  # of the whole study


def test_each_distinct_composition_is_tried_once_and_finished_cells_are_not(sweep: Sweep):
    sweep("-m", "backbone.name=a,b", "seed=0,1,2")
    assert sorted(lines("tried.txt")) == ["a", "b"]
    sweep("-m", "backbone.name=a,b", "seed=0,1,2")
    sweep("-m", "backbone.name=a,b,c", "seed=0,1,2")
    assert sorted(lines("tried.txt")) == ["a", "b", "c"]


def test_an_impossible_composition_is_refused_without_a_folder_and_the_others_run(sweep: Sweep):
    code, printed, _ = sweep("-m", "backbone.name=a,impossible", "seed=0,1")
    assert code == 0
    assert printed.index("refused (2 cells): The parts don't fit together.") < printed.index("── 1 of 2")
    assert "backbone.name=impossible seed=0; backbone.name=impossible seed=1" in printed
    assert "4 cells: 2 done, 2 refused" in printed
    assert [row["state"] for row in table()] == ["done", "done", "refused", "refused"]
    assert table()[2]["reason"] == "The parts don't fit together."
    assert {path.name.partition("-")[0] for path in Path("outputs/default").glob("*-*")} == {"a"}
    code, printed, _ = sweep("-m", "backbone.name=a,impossible", "seed=0,1", "action.strict=true")
    assert code == 1
    assert "4 cells: 2 finished already, 2 refused" in printed
    assert len(Path("outputs/default/cells.jsonl").read_text().splitlines()) == 6  # what is no news is not written


def test_a_sweep_of_impossible_compositions_alone_is_an_error(sweep: Sweep):
    code, printed, _ = sweep("-m", "backbone.name=impossible,impossible2", "seed=0")
    assert code == 1
    assert "2 cells: 2 refused" in printed


def test_a_composition_that_has_become_possible_is_computed(sweep: Sweep):
    sweep("-m", "backbone.name=a,impossible")
    Path("possible").touch()
    code, printed, _ = sweep("-m", "backbone.name=a,impossible")
    assert code == 0
    assert "2 cells: 1 done, 1 finished already" in printed
    events = [json.loads(line)["kind"] for line in Path("outputs/default/cells.jsonl").read_text().splitlines()]
    assert events == ["cell", "cell", "refused", "accepted"]


def test_a_trial_that_breaks_or_dies_refuses_nothing(sweep: Sweep):
    code, printed, _ = sweep("-m", "backbone.name=odd,deadly,a,impossible")
    assert code == 0
    assert "4 cells: 3 done, 1 refused" in printed
    assert lines("tried.txt") == ["odd", "deadly", "a", "impossible"]


def test_failed_cells_are_reported_again_and_computed_again_only_with_retry(sweep: Sweep):
    command = ("-m", "action.becomes=done,failed_once", "seed=0,1")
    code, printed, _ = sweep(*command)
    assert code == 1
    assert "4 cells: 2 done, 2 failed" in printed
    assert "failed: The loss is not a number.\n  3: action.becomes=failed_once seed=0\n" in printed
    code, printed, _ = sweep(*command)
    assert code == 1
    assert "4 cells: 2 finished already, 2 failed" in printed
    assert "failed: The loss is not a number. (before; retry=failed runs it again)" in printed
    assert len(lines("begun.txt")) == 4
    code, printed, _ = sweep(*command, "retry=failed")
    assert code == 0
    assert "4 cells: 2 done, 2 finished already" in printed
    assert len(lines("begun.txt")) == 6


def test_a_cell_that_fails_before_it_has_a_folder_is_failed_in_the_plan(sweep: Sweep):
    command = ("-m", "action.becomes=failed early,done")
    code, printed, _ = sweep(*command)
    assert code == 1
    assert "2 cells: 1 done, 1 failed" in printed
    assert "failed: The weights can't be read." in printed
    assert [row["state"] for row in table()] == ["failed", "done"]
    code, printed, errors = sweep(*command)
    assert code == 1
    assert "2 cells: 1 finished already, 1 failed" in printed
    assert "error" not in errors  # it was not tried again
    code, _, errors = sweep(*command, "retry=failed")
    assert code == 1
    assert len(Path("outputs/default/cells.jsonl").read_text().splitlines()) == 5


def test_a_cell_whose_values_can_not_be_is_failed_and_the_others_run(sweep: Sweep):
    code, printed, errors = sweep("-m", "seed=0,-1,abc")
    assert code == 1
    assert errors.startswith("error: seed must be 0 or more; got -1.\nerror: seed takes a whole number; got 'abc'.\n")
    assert "3 cells: 1 done, 2 failed" in printed
    assert len(planned()) == 1


def test_cells_that_are_one_run_are_computed_once(sweep: Sweep):
    code, printed, _ = sweep("-m", "debug=false,true", "seed=0")
    assert code == 0
    assert "2 cells: 1 done, 1 finished already" in printed
    assert len(lines("begun.txt")) == 1


def test_rerun_computes_finished_cells_again_once(sweep: Sweep):
    sweep("-m", "seed=0,1")
    code, printed, _ = sweep("-m", "seed=0,1", "rerun=true")
    assert code == 0
    assert "2 cells: 2 done" in printed
    assert len(lines("begun.txt")) == 4


def test_the_launcher_is_the_same_for_all_cells(sweep: Sweep):
    code, _, errors = sweep("-m", "launcher=in_process,local", "seed=0")
    assert code == 1
    assert "launcher must be the same for all cells of a sweep" in errors
    code, _, errors = sweep("-m", "launcher.hours=-1", "seed=0,1")
    assert code == 1
    assert errors.startswith("error: launcher.hours must be a number above 0")
    assert not Path("outputs").exists()


def test_a_damaged_plan_is_refused_with_what_to_do(sweep: Sweep):
    sweep("-m", "seed=0,1")
    plan = Path("outputs/default/cells.jsonl")
    plan.write_text("{}\n" + plan.read_text())
    code, _, errors = sweep("-m", "seed=0,1")
    assert code == 1
    assert "cells.jsonl is not a plan that this version of geocompose wrote, or it is damaged: line 1" in errors
    plan.unlink()
    code, printed, _ = sweep("-m", "seed=0,1")
    assert code == 0
    assert "2 cells: 2 finished already" in printed
    assert len(planned()) == 2


def test_a_damaged_record_is_told_of_its_cell_alone(sweep: Sweep):
    sweep("-m", "seed=0,1")
    record = next(iter(Path("outputs/default").glob("a-*/record.json")))
    record.write_text(record.read_text()[:100])
    code, printed, _ = sweep("-m", "seed=0,1")
    assert code == 1
    assert "2 cells: 1 finished already, 1 unreadable" in printed
    assert "record.json is damaged" in printed


def test_a_budget_that_is_used_up_leaves_cells_waiting(sweep: Sweep):
    code, printed, _ = sweep("-m", "seed=0,1,2", "action.seconds=0.2", "launcher.hours=0.00003")
    assert code == 0
    assert "3 cells: 1 done, 2 waiting" in printed
    assert "Run the same command again to compute what is missing." in printed
    code, printed, _ = sweep("-m", "seed=0,1,2", "action.seconds=0.2")
    assert "3 cells: 2 done, 1 finished already" in printed


def test_the_table_is_whole_however_narrow_the_terminal_is(sweep: Sweep, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    long = "a" * 30
    _, printed, _ = sweep("-m", f"backbone.name={long},b", "seed=0,100001", "action.becomes=done,odd")
    assert all(f"0.{digits}" in printed for digits in ("5000", "2500"))
    rows = [line for line in printed.splitlines() if line.startswith("│")]
    folded = "".join(row.split("│")[2].strip() for row in rows)
    assert long in folded
    assert sum("100001" in row for row in rows) == 4


def test_finished_cells_are_answered_where_nothing_can_be_written(sweep: Sweep, monkeypatch):
    sweep("-m", "seed=0,1")
    refuse_writes(monkeypatch)
    code, printed, errors = sweep("-m", "seed=0,1")
    assert code == 0
    assert "2 cells: 2 finished already" in printed
    assert "cells.csv: the file system is read-only" in errors
    Path("outputs/default/cells.jsonl").unlink()
    code, printed, errors = sweep("-m", "seed=0,1")
    assert code == 0
    assert "cells.lock: the file system is read-only" in errors
    code, printed, errors = sweep("-m", "seed=0,1,2")
    assert code == 1
    assert "the file system is read-only. Choose a folder that can be written" in errors


def refuse_writes(monkeypatch) -> None:
    """Have the file system refuse what writes into a study."""
    import errno
    import os

    import filelock

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    monkeypatch.setattr(os, "replace", refuse)


def test_a_plan_that_was_cut_short_goes_on(sweep: Sweep):
    sweep("-m", "seed=0,1")
    plan = Path("outputs/default/cells.jsonl")
    plan.write_bytes(plan.read_bytes()[:-40])
    code, printed, _ = sweep("-m", "seed=0,1")
    assert code == 0
    assert "2 cells: 2 finished already" in printed
    assert len(planned()) == 2


def test_a_clock_that_is_set_back_changes_nothing(sweep: Sweep, monkeypatch):
    import datetime

    from geocompose.runs import environment

    sweep("-m", "seed=0,1", "action.becomes=done,failed_once")
    real = datetime.datetime

    class Earlier(real):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) - datetime.timedelta(hours=1)

    monkeypatch.setattr(environment, "datetime", Earlier)
    _, printed, _ = sweep("-m", "seed=0,1,2", "action.becomes=done,failed_once", "retry=failed")
    assert "6 cells: 3 done, 2 finished already, 1 failed" in printed


def test_a_plan_that_is_damaged_meanwhile_is_told_in_place_of_the_table(sweep: Sweep):
    code, _, errors = sweep("-m", "seed=0,1", "action.becomes=spoils_plan,done")
    assert code == 1
    assert "error: outputs/default/cells.jsonl is not a plan" in errors
    assert len(lines("completed.txt")) == 4


def test_data_that_changes_while_a_sweep_runs_is_told(sweep: Sweep):
    code, printed, _ = sweep("-m", "action.becomes='other data',done")
    assert code == 1
    assert "failed: computed as another run: data, weights or code have changed since the sweep began" in printed
    code, printed, _ = sweep("-m", "action.becomes='other data',done")
    assert code == 0
    assert "2 cells: 2 finished already" in printed
