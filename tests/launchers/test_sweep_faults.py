"""A disk that refuses, files that were cut short and clocks set back: a sweep says so, and loses nothing complete."""

import errno
import json
import shutil
import time
from pathlib import Path

import pytest

from geocompose.runs import RunFolder, environment
from geocompose.studies.plan import PLAN_NAME
from geocompose.studies.states import states
from tests.kit.faults import Disk
from tests.kit.sweeps import Sweep, light_server, lines, planned, sweep, table

__all__ = ["light_server", "sweep"]  # fixtures

TWO = ("-m", "seed=0,1", "launcher=in_process")


def runs(study: str = "default") -> list[RunFolder]:
    return [RunFolder(path.parent) for path in sorted((Path("outputs") / study).glob("*/record.json"))]


def survives(sweep: Sweep, disk: Disk, place: int, error: int, *, once: bool) -> int:
    """Let a write fail in a study of its own and the command be given again; return how many writes there were."""
    study = f"study={error}-{place}"
    disk.refuse(place, error, once=once)
    code, printed, errors = sweep(*TWO, study)
    disk.heal()
    count = disk.count
    if not disk.refused:
        return count
    where = f"write {place}, of {disk.refused[0]}"
    assert "Traceback" not in errors + printed, where
    assert "unexpected" not in errors, f"{where}: {errors}"
    advice = {errno.ENOSPC: "the disk is full", errno.EROFS: "the file system is read-only"}[error]
    if advice not in errors + printed:  # which is right only where nothing was missed by it, as a note of who computes
        assert code == 0, f"{where}: {printed}{errors}"
        assert [run.status() for run in runs(study[6:])] == ["completed", "completed"], where
        assert len(table(study[6:])) == 2, where
    before = {run.path.name: run.record.read_bytes() for run in runs(study[6:]) if run.status() == "completed"}
    code, printed, errors = sweep(*TWO, study)
    assert code == 0, f"{where}: {printed}{errors}"
    after = {run.path.name: run.record.read_bytes() for run in runs(study[6:])}
    assert len(after) == 2, where
    assert {name: after[name] for name in before} == before, f"{where}: something complete was computed again"
    assert [cell.state for _, cell in states(Path("outputs") / study[6:])] == ["done", "done"], where
    assert len(table(study[6:])) == 2, where
    return count


@pytest.mark.parametrize("error", [errno.ENOSPC, pytest.param(errno.EROFS, marks=pytest.mark.slow)])
def test_a_disk_that_refuses_a_write_from_then_on_stops_a_sweep_that_goes_on_later(sweep, error, tmp_path, monkeypatch):
    disk = Disk(tmp_path / "work" / "outputs", monkeypatch)
    count = survives(sweep, disk, 10**6, error, once=False)
    assert count > 40
    for place in range(0, count, 16):
        survives(sweep, disk, place, error, once=False)


@pytest.mark.slow
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("once", [True, False])
def test_a_disk_that_refuses_any_write_of_a_sweep(sweep, error, once, tmp_path, monkeypatch):
    disk = Disk(tmp_path / "work" / "outputs", monkeypatch)
    for place in range(survives(sweep, disk, 10**6, error, once=once)):
        survives(sweep, disk, place, error, once=once)


def test_a_log_that_can_not_be_written_fails_no_cell_for_good(sweep):
    sweep("-m", "seed=0,1", "launcher=plan_only")
    first = planned()[0]
    log = Path("outputs/default/logs", f"{first}.log")
    log.mkdir(parents=True)
    code, printed, errors = sweep("-m", "seed=0,1", "launcher=local")
    assert code == 1
    assert "a folder stands where a file is needed" in printed + errors
    assert [row["state"] for row in table()].count("done") == 1
    log.rmdir()
    assert sweep("-m", "seed=0,1", "launcher=local", "retry=failed")[0] == 0


@pytest.mark.parametrize("share", [0.0, 0.5, *(pytest.param(more, marks=pytest.mark.slow) for more in (0.3, 0.99))])
def test_a_plan_that_was_cut_short_is_written_anew_and_finished_cells_stay_finished(sweep, share):
    sweep(*TWO)
    plan = Path("outputs/default") / PLAN_NAME
    before = planned()
    content = plan.read_bytes()
    plan.write_bytes(content[: int(len(content) * share)])
    code, printed, _ = sweep(*TWO)
    assert code == 0
    assert "2 finished already" in printed
    assert sorted(planned()) == sorted(before)
    assert len(lines("completed.txt")) == 2


def test_a_plan_that_is_damaged_stops_the_sweep_and_without_it_finished_cells_stay_finished(sweep):
    sweep(*TWO)
    plan = Path("outputs/default") / PLAN_NAME
    plan.write_bytes(b"\x00" * 30 + b"\n" + plan.read_bytes())
    code, _, errors = sweep(*TWO)
    assert code == 1
    assert f"{plan} is not a plan" in errors
    assert "Move the file away" in errors
    plan.rename("kept")
    code, printed, _ = sweep(*TWO)
    assert (code, "2 finished already" in printed) == (0, True)
    assert len(lines("completed.txt")) == 2


@pytest.mark.parametrize("share", [0.5, *(pytest.param(more, marks=pytest.mark.slow) for more in (0.0, 0.99))])
def test_a_record_that_was_cut_short_is_one_cells_failure_and_says_what_to_do(sweep, share):
    sweep(*TWO)
    damaged, whole = runs()
    content, other = damaged.record.read_bytes(), whole.record.read_bytes()
    damaged.record.write_bytes(content[: int(len(content) * share)])
    code, printed, errors = sweep(*TWO, "seed=0,1,2")
    assert code == 1
    assert f"{damaged.record} is damaged" in printed + errors
    assert "Delete this file and run the same command again" in printed + errors
    assert whole.record.read_bytes() == other
    assert sorted(row["state"] for row in table()) == ["done", "done", "unreadable"]
    damaged.record.unlink()
    code, printed, _ = sweep(*TWO, "seed=0,1,2")
    assert code == 0
    assert "3 cells: 1 done, 2 finished already" in printed
    assert json.loads(damaged.record.read_bytes())["status"] == "completed"
    assert whole.record.read_bytes() == other


def test_a_clock_that_is_set_back_in_mid_sweep_changes_nothing(sweep, monkeypatch):
    """The first cell fails before it has a record, then the clock is set back an hour, and the cell is tried again."""
    real, back = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() - back)
    monkeypatch.setattr(environment, "utc_now", lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(real() - back)))
    for module in ("geocompose.runs.folder", "geocompose.studies.plan", "geocompose.runs.lock"):
        monkeypatch.setattr(f"{module}.utc_now", lambda: environment.utc_now())
    command = ("-m", "action.becomes=failed early,done", "launcher=in_process", "seed=0,1")
    assert sweep(*command)[0] == 1
    back = 3600.0
    for run in runs():  # those that could not be computed
        assert run.status() == "completed"
    code, printed, _ = sweep(*command, "retry=failed")
    assert code == 1
    assert "4 cells: 2 finished already, 2 failed" in printed
    code, printed, _ = sweep("-m", "action.becomes=done", "launcher=in_process", "seed=0,1,2,3")
    assert code == 0
    assert "4 cells: 2 done, 2 finished already" in printed
    assert all((run.read().seconds or 0) >= 0 for run in runs())
    finished = [run.read().finished for run in runs()]
    assert min(filter(None, finished)) < max(filter(None, finished)), "the clock was set back"


def test_what_a_kill_leaves_half_written_is_cleared_by_the_next(sweep):
    sweep(*TWO)
    (first, _) = runs()
    record = json.loads(first.record.read_text())
    first.record.write_text(json.dumps({**record, "status": "running", "metrics": {}}))
    leftover = first.path / ".record.json.1-abcdef00.tmp"
    leftover.write_text('{"schema"')
    code, printed, _ = sweep(*TWO)
    assert code == 0
    assert "2 cells: 1 done, 1 finished already" in printed
    assert not leftover.exists()


def test_a_study_on_a_disk_that_is_copied_elsewhere_goes_on_there(sweep, tmp_path, monkeypatch):
    sweep(*TWO)
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree("outputs", tmp_path / "elsewhere" / "outputs")
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, printed, _ = sweep(*TWO, "seed=0,1,2")
    assert (code, "3 cells: 1 done, 2 finished already" in printed) == (0, True)
