"""Several processes on one study: sweeps at once, slices of a plan, and sweeps that are killed and started again."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geocompose.errors import UserError
from geocompose.studies.plan import PLAN_NAME, PlanCell, add_cells, read_plan
from tests.kit.places import ROOT
from tests.kit.sweeps import Sweep, light_server, lines, sweep, table
from tests.kit.swept_runs import write_conf

__all__ = ["light_server", "sweep"]  # fixtures

# With as little in its fork server as these runs need, so that a sweep is soon killed amid its cells.
PROGRAM = """
from pathlib import Path
from geocompose.cli import main
from geocompose.launchers import fork_server
fork_server.PRELOADED = [fork_server.PRELOADED[0], "tests.kit.swept_runs"]
main(Path("../conf").resolve())
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the program in `folder`."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_conf(tmp_path / "conf")
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def completed(work: Path) -> list[str]:
    return (work / "completed.txt").read_text().split()


def test_two_sweeps_at_once_share_the_cells_and_compute_each_one_once(work: Path):
    command = ("-m", "seed=range(0,30)", "action.seconds=0.1")
    sweeps = [start(work, *command) for _ in range(2)]
    printed = [each.communicate(timeout=120)[0] for each in sweeps]
    assert [each.returncode for each in sweeps] == [0, 0]
    assert len(completed(work)) == len(set(completed(work))) == 30
    ours = [int(number) for text in printed for number in re.findall(r"^30 cells: ([0-9]+) done", text, re.MULTILINE)]
    assert sum(ours) == 30
    assert any("computed elsewhere" in text for text in printed)
    assert len(read_plan(work / "outputs/default").cells) == 30


@pytest.mark.parametrize("others", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_sweeps_that_are_killed_and_started_again_complete_each_cell_exactly_once(work: Path, others: int):
    command = ("-m", "seed=range(0,20)", "action.seconds=0.05")
    moments = random.Random(20250)
    for _ in range(4):
        sweeps = [start(work, *command) for _ in range(others)]
        time.sleep(moments.uniform(1.5, 3.0))
        for each in sweeps:
            each.send_signal(signal.SIGKILL)
            each.communicate(timeout=60)
    last = start(work, *command)
    printed = last.communicate(timeout=120)[0]
    assert last.returncode == 0, printed
    assert len(completed(work)) == len(set(completed(work))), "a cell was computed twice"
    # A kill may come between a cell's record and its note. The rows below are the records'.
    assert 20 - 4 * others <= len(completed(work)) <= 20
    assert "20 cells:" in printed
    rows = (work / "outputs/default/cells.csv").read_text().splitlines()[1:]
    assert [row for row in rows if ",done," not in row] == [], printed


def test_overlapping_slices_of_a_plan_compute_each_cell_once(work: Path):
    add = start(work, "-m", "seed=range(0,12)", "launcher=plan_only", "action.seconds=0.1")
    assert "12 waiting" in add.communicate(timeout=60)[0]
    slices = [start(work, "action=work", f"action.slice={part}") for part in ("1/2", "2/2", "1/1")]
    printed = [each.communicate(timeout=120)[0] for each in slices]
    assert [each.returncode for each in slices] == [0, 0, 0], printed
    assert len(completed(work)) == len(set(completed(work))) == 12
    assert printed[0].count("── ") == 6


def test_a_slice_is_every_nth_cell_of_the_plan(sweep: Sweep):
    _, planned, _ = sweep("-m", "seed=range(0,7)", "launcher=plan_only")
    assert "action=work computes what is missing" in planned
    assert "same command" not in planned
    code, printed, _ = sweep("action=work", "action.slice=2/3")
    assert code == 0
    assert "2 cells: 2 done" in printed
    numbered = [row.split("│")[1].strip() for row in printed.splitlines() if row.startswith("│")]
    assert sorted(numbered) == ["2", "5"], "cells have the plan's numbers"
    assert [row["seed"] for row in table() if row["state"] == "done"] == ["1", "4"]
    code, printed, _ = sweep("action=work")
    assert "7 cells: 5 done, 2 finished already" in printed
    assert len(lines("completed.txt")) == 7


def test_a_slice_with_a_failed_cell_ends_with_an_error_after_the_others(sweep: Sweep):
    sweep("-m", "seed=0,1", "action.becomes=failed_once,done", "launcher=plan_only")
    code, printed, errors = sweep("action=work")
    assert code == 1
    assert "4 cells: 2 done, 2 failed" in printed
    assert "Not all cells of this slice were computed" in errors
    code, printed, _ = sweep("action=work", "retry=failed")
    assert code == 0
    assert "4 cells: 2 done, 2 finished already" in printed


@pytest.mark.parametrize("slice", ["0/3", "4/3", "a/b", "3", "1/0", "-1/3"])
def test_what_is_no_slice_is_refused(sweep: Sweep, slice: str):
    code, _, errors = sweep("action=work", f"action.slice={slice}")
    assert code == 1
    assert "action.slice must be I/N with I from 1 to N" in errors


def test_work_without_a_plan_or_with_other_settings_says_what_to_do(sweep: Sweep):
    code, _, errors = sweep("action=work", "study=none")
    assert code == 1
    assert "There is no study 'none': outputs/none does not exist." in errors
    Path("outputs/none").mkdir(parents=True)
    code, _, errors = sweep("action=work", "study=none")
    assert code == 1
    assert "There is no plan in outputs/none/cells.jsonl. A sweep's command with -m writes it." in errors
    code, _, errors = sweep("action=work", "seed=3")
    assert code == 1
    assert "seed=3 would change nothing: the plan says what each of its cells is" in errors
    sweep("-m", "seed=0,1")
    code, _, errors = sweep("action=work", "action.slice=3/3")
    assert code == 1
    assert "action.slice=3/3 is empty: the plan of outputs/default has 2 cells" in errors


@pytest.mark.parametrize(
    ("overrides", "folders", "says"),
    [
        (["backbone._target_=os.system", "backbone.name=x"], [], "names 'os.system'"),
        (["backbone.name=${oc.env:HOME}"], [], "holds an interpolation"),
        (["hydra.searchpath=[/tmp]"], [], "is not a setting of one cell"),
        (["hydra/launcher=basic"], [], "is not a setting of one cell"),
        (["seed=1,2"], [], "is not a setting of one cell"),
        (["seed=0"], ["/elsewhere"], "write --config-dir /elsewhere"),
        (["nonsense=0"], [], "can't be composed"),
        (["seed=[1"], [], "can't be read"),
        (["seed=0"], [], "would be the run"),
        (["action=work"], [], "names 'geocompose.actions.work.work'|computes no run"),
    ],
)
def test_a_plan_is_data_and_executes_nothing(sweep: Sweep, overrides: list[str], folders: list[str], says: str):
    add_cells(Path("outputs/default"), [PlanCell("0123456789", tuple(overrides), {}, tuple(folders))])
    code, printed, _ = sweep("action=work")
    assert code == 1
    assert re.search(says, " ".join(printed.split())), printed
    assert not Path("begun.txt").exists()


def test_targets_of_your_own_are_computed_where_they_are_typed(sweep: Sweep):
    own = "backbone._target_=tests.kit.swept_runs.OwnPart"
    sweep("-m", own, "seed=0,1", "launcher=plan_only")
    code, printed, _ = sweep("action=work")
    assert code == 1
    assert "action.trust=[tests.kit.swept_runs.OwnPart]" in printed
    code, printed, _ = sweep("action=work", "action.trust=[tests.kit.swept_runs.OwnPart]")
    assert code == 0
    assert "2 cells: 2 done" in printed


def test_a_plan_says_what_is_computed_and_not_by_which_launcher(sweep: Sweep):
    sweep("-m", "seed=0,1", "launcher=plan_only", "retry=failed")
    sweep("-m", "seed=1,2", "launcher=local", "launcher.workers=2")
    cells = read_plan(Path("outputs/default")).cells.values()
    assert [cell.overrides for cell in cells] == [("seed=0",), ("seed=1",), ("seed=2",)]


def test_a_cell_that_was_planned_again_as_another_run_is_not_waited_for(sweep: Sweep):
    add_cells(Path("outputs/default"), [PlanCell("0123456789", ("seed=0",), {})])
    code, printed, _ = sweep("action=work")
    assert code == 1
    assert "would be the run" in " ".join(printed.split())
    study = Path("outputs/default")
    sweep("-m", "seed=0", "launcher=plan_only")
    (now,) = [cell for cell in read_plan(study).cells.values() if cell.id != "0123456789"]
    (study / PLAN_NAME).unlink()
    # As it was planned before its data changed, and is planned now.
    add_cells(study, [PlanCell("0123456789", now.overrides, now.choices)])
    sweep("-m", "seed=0", "launcher=plan_only")
    code, printed, _ = sweep("action=work")
    assert code == 0
    assert "1 cell: 1 done" in printed


def test_a_plan_that_is_damaged_is_refused_by_a_slice_too(sweep: Sweep):
    study = Path("outputs/default")
    study.mkdir(parents=True)
    (study / PLAN_NAME).write_text("x\n")
    code, _, errors = sweep("action=work")
    assert code == 1
    assert "Move the file away" in errors
    with pytest.raises(UserError):
        read_plan(study)
