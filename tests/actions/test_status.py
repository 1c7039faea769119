"""action=status and action=list on made studies: the answers, and that torch is not loaded for them."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from geocompose.errors import UserError
from geocompose.runs import RunFolder
from geocompose.studies.plan import PlanCell, PlanEvent, add_cells, add_events
from tests.kit.command import run
from tests.kit.made_studies import made_run
from tests.kit.places import ROOT
from tests.kit.run_folders import ID, holding

FLOODS = Path("outputs/floods")


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def scores(val, test=0.1):
    return {"val/loss": 1.0, "val/mIoU": val, "test/mIoU": test}


def test_status_says_states_time_best_and_causes(capsys):
    made_run(FLOODS, "a" * 10, "seed=1", metrics=scores(0.7), seeds={"seed": 1}, seconds=100.0)
    made_run(FLOODS, "b" * 10, "seed=2", metrics=scores(0.6, 0.9), seeds={"seed": 2}, seconds=100.0)
    for identity in ("c", "d"):
        made_run(FLOODS, identity * 10, status="failed", error="out of memory", seconds=1.0)
    add_cells(FLOODS, [PlanCell("e" * 10, ("seed=5",), {}), PlanCell("f" * 10, ("decoder=unet",), {})])
    add_events(FLOODS, [PlanEvent("refused", "f" * 10, "no pyramid")])
    run("action=status", "study=floods")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["study: outputs/floods", "6 cells: 2 done, 1 waiting, 2 failed, 1 refused"]
    assert "time left: about 2 min of computing for 1 cell, as finished ones took" in lines
    best = next(place for place, line in enumerate(lines) if line.startswith("best of 2 runs by val/mIoU"))
    assert "0.7000" in lines[best]
    assert lines[best].endswith("a" * 10)
    assert lines[best + 1] == "  seed=1"
    failed = lines.index("failed (2): out of memory")
    assert [line[-18:] for line in lines[failed + 1 : failed + 3]] == ["cccccccccc/run.log", "dddddddddd/run.log"]
    assert lines[lines.index("refused (1): no pyramid") + 1] == "  decoder=unet"


def test_status_says_who_computes_what_and_its_last_sign_of_life(capsys):
    with holding(RunFolder(FLOODS / f"vit-fcn-none-{ID}")) as (process, _):
        run("action=status", "study=floods")
    lines = capsys.readouterr().out.splitlines()
    place = lines.index(f"running: outputs/floods/vit-fcn-none-{ID}")
    assert f"process {process.pid} on " in lines[place + 1]
    assert "last sign of life" in lines[place + 1]


def test_errors_are_better_where_they_are_lower(capsys):
    for identity, error in (("a", 3.0), ("b", 2.5), ("c", float("nan"))):
        made_run(FLOODS, identity * 10, metrics={"val/RMSE": error, "test/RMSE": 1.0})
    run("action=status", "study=floods")
    printed = capsys.readouterr().out
    assert "by val/RMSE on floods (lower is better): 2.5000  outputs/floods/prithvi-upernet-none-bbbbbbbbbb" in printed
    run("action=list", "study=floods")
    assert [line.rstrip("│ ")[-10:] for line in capsys.readouterr().out.splitlines() if line[:1] == "│"] == [
        "b" * 10,
        "a" * 10,
        "c" * 10,
    ]


def test_runs_on_other_data_are_not_compared(capsys):
    for identity, mark in (("a", "1"), ("b", "2")):
        made_run(FLOODS, identity * 10, metrics=scores(0.5), data={"name": "floods", "fingerprint": mark * 64})
    run("action=status", "study=floods")
    assert capsys.readouterr().out.count("best of 1 run by val/mIoU on floods") == 2


def test_two_studies_are_looked_at_as_one(capsys, tmp_path):
    made_run(FLOODS, "a" * 10, "seed=1", metrics=scores(0.5))
    made_run(tmp_path / "disk" / "floods", "a" * 10, "seed=1", metrics=scores(0.5))
    made_run(tmp_path / "disk" / "floods", "b" * 10, "seed=2", metrics=scores(0.6))
    for action in ("status", "list"):
        run(f"action={action}", f"action.studies=[floods,{tmp_path}/disk/floods]")
        printed = capsys.readouterr().out
        assert "2 cells: 2 done" in printed or printed.count("│ ") > 0
        assert printed.count("aaaaaaaaaa") <= 1


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (["study=none"], "no study 'none'"),
        (["study=floods", "action.studies=[floods]"], "give one of them"),
        (["study=floods", "seed=1"], "seed=1 would change nothing"),
    ],
)
def test_a_question_that_can_not_be_answered_is_refused(overrides, match):
    made_run(FLOODS, "a" * 10)
    for action in ("status", "list"):
        with pytest.raises(UserError, match=match):
            run(f"action={action}", *overrides)


def test_list_sorts_by_any_column_and_names_what_there_is(capsys):
    for identity, score, seconds in (("a", 0.5, 3.0), ("b", 0.7, 2.0), ("c", 0.6, 1.0)):
        made_run(FLOODS, identity * 10, f"optimizer.lr={score}", metrics=scores(score, 1 - score), seconds=seconds)

    def order(*sort):
        run("action=list", "study=floods", *sort)
        return "".join(line.rstrip("│ ")[-1] for line in capsys.readouterr().out.splitlines() if line[:1] == "│")

    assert order() == "bca"
    assert order("action.sort=test/mIoU") == "acb"
    assert order("action.sort=val/loss") == "abc"
    assert order("action.sort=seconds") == "cba"
    assert order("action.sort=optimizer.lr") == "acb"
    with pytest.raises(UserError, match=r"action\.sort must be .* got 'val/miou'. Did you mean 'val/mIoU'"):
        run("action=list", "study=floods", "action.sort=val/miou")
    with pytest.raises(UserError, match=r"action\.metrics names 'mIoU'"):
        run("action=list", "study=floods", "action.metrics=[mIoU]")


def test_the_csv_has_all_settings_and_metrics_and_is_not_overwritten_unasked(capsys):
    made_run(FLOODS, "a" * 10, "decoder.channels=[8, 8]", metrics=scores(0.5) | {"val/IoU_x": float("nan")})
    made_run(FLOODS, "b" * 10, "decoder.channels=[8, 8]", status="failed", error='bad, "worse"')
    run("action=list", "study=floods", "action.csv=runs.csv")
    with open("runs.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["val/mIoU"], first["val/IoU_x"], first["decoder.channels"]) == ("0.5", "", "[8, 8]")
    assert (first["backbone"], first["parameters"], first["state"]) == ("prithvi", "5600000", "done")
    assert (second["state"], second["reason"], second["val/mIoU"]) == ("failed", 'bad, "worse"', "")
    assert "written: runs.csv" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"runs\.csv exists already"):
        run("action=list", "study=floods", "action.csv=runs.csv")
    run("action=list", "study=floods", "action.csv=runs.csv", "action.overwrite=true")


def test_a_study_without_runs_is_said_to_have_none(capsys):
    add_cells(FLOODS, [PlanCell("e" * 10, ("seed=5",), {})])
    run("action=list", "study=floods")
    assert "There are no runs in outputs/floods." in capsys.readouterr().out
    run("action=status", "study=floods")
    assert "time left: not known" in capsys.readouterr().out


@pytest.mark.parametrize("action", ["status", "list"])
def test_studies_are_looked_at_without_torch(action):
    made_run(FLOODS, "a" * 10, "seed=1", metrics=scores(0.5))
    made_run(FLOODS, "b" * 10, "seed=2", metrics=scores(0.5))
    program = (
        "import sys, pathlib\n"
        f"sys.argv = ['run.py', 'action={action}', 'study=floods']\n"
        "from geocompose.cli import main\n"
        f"main(pathlib.Path({str(ROOT / 'conf')!r}))\n"
        "print('loaded', sorted({'torch', 'lightning', 'rasterio', 'matplotlib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "loaded []", done.stderr
