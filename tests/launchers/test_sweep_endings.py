"""Cells in processes of their own: how each one ends is told, recorded, and taken up again by the same command."""

import json
from pathlib import Path

from geocompose.runs import RunFolder
from tests.kit.sweeps import Sweep, light_server, lines, sweep, table

__all__ = ["light_server", "sweep"]  # fixtures


def of_state(state: str) -> list[RunFolder]:
    rows = [row for row in table() if row["state"] == state and row["folder"]]
    return [RunFolder(Path("outputs/default") / row["folder"]) for row in rows]


def test_a_crash_costs_its_cell_alone_and_is_recorded_with_its_log(sweep: Sweep):
    command = ("-m", "launcher=local", "launcher.workers=2", "action.becomes=crashed,done,exited", "seed=0,1")
    code, printed, _ = sweep(*command)
    assert code == 1
    assert "6 cells: 2 done, 4 failed" in printed
    assert printed.count("SIGSEGV") >= 2
    # Two causes, of two cells each, whatever their logs are called.
    assert sum(line.startswith("failed: ") for line in printed.splitlines()) == 2, printed
    (first, *_) = [folder for folder in of_state("failed") if "SIGSEGV" in (folder.read().error or "")]
    assert "outputs/default/logs/" in (first.read().error or "")
    log = Path("outputs/default/logs") / f"{first.path.name.rpartition('-')[2]}.log"
    assert "Segmentation fault" in log.read_text()
    assert str(log) in printed
    assert any("exit code 3" in (folder.read().error or "") for folder in of_state("failed"))
    code, printed, _ = sweep(*command)
    assert code == 1
    assert "6 cells: 2 finished already, 4 failed" in printed
    assert len(lines("begun.txt")) == 6
    sweep(*command, "retry=failed")
    assert len(lines("begun.txt")) == 10


def test_a_crash_before_there_is_a_record_stands_in_the_plan(sweep: Sweep):
    command = ("-m", "launcher=local", "action.becomes=crashed early,done")
    code, printed, _ = sweep(*command)
    assert code == 1
    assert "2 cells: 1 done, 1 failed" in printed
    last = json.loads(Path("outputs/default/cells.jsonl").read_text().splitlines()[-1])
    assert (last["kind"], "SIGSEGV" in last["reason"]) == ("failed", True)
    assert Path(last["log"]).is_file()
    code, printed, _ = sweep(*command)
    assert code == 1
    assert "2 cells: 1 finished already, 1 failed" in printed


def test_a_cell_that_was_killed_from_outside_goes_on_with_the_same_command(sweep: Sweep):
    command = ("-m", "launcher=local", "action.becomes=killed_once,done")
    code, printed, _ = sweep(*command)
    assert code == 1
    assert "2 cells: 1 done, 1 interrupted" in printed
    assert "interrupted: killed by SIGKILL (9)" in printed
    assert "Run the same command again to compute what is missing." in printed
    code, printed, _ = sweep(*command)
    assert code == 0
    assert "2 cells: 1 done, 1 finished already" in printed
    assert sorted(folder.read().resumed for folder in of_state("done")) == [0, 1]


def test_a_cell_that_takes_too_long_is_failed(sweep: Sweep):
    code, printed, _ = sweep("-m", "launcher=local", "launcher.timeout_minutes=0.06", "action.seconds=0,60")
    assert code == 1
    assert "2 cells: 1 done, 1 failed" in printed
    assert "launcher.timeout_minutes=0.06" in (of_state("failed")[0].read().error or "")


def test_what_a_cell_writes_is_in_its_log_and_with_one_worker_on_the_terminal(sweep: Sweep):
    _, printed, _ = sweep("-m", "launcher=local", "action.becomes=failed", "seed=0,1")
    assert printed.count("error: The loss is not a number.") == 2
    _, printed, _ = sweep("-m", "launcher=local", "launcher.workers=2", "action.becomes=failed", "seed=2,3")
    assert "error: The loss is not a number." not in printed
    assert "1 of 2 failed: seed=" in printed
    assert len(list(Path("outputs/default/logs").glob("*.log"))) == 4
