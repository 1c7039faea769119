"""A table of published scores: read, marked as copied, compared by seeds, and refused where it can't be."""

import csv

import pytest

from geocompose.errors import UserError
from tests.kit.command import run
from tests.kit.shared import SHARED

TABLE = """dataset,Metric,test metric,Seed,backbone,lr
burn,IoU,0.90,1,prithvi,1e-4
burn,IoU,0.91,2,prithvi,1e-4
burn,IoU,0.905,3,prithvi,1e-4
burn,IoU,0.70,1,<b>resnet</b>,1e-3
burn,IoU,0.72,2,<b>resnet</b>,1e-3
burn,IoU,0.71,3,<b>resnet</b>,1e-3
burn,IoU,,1,clay,1e-3
biomass,RMSE,30.0,1,prithvi,1e-4
biomass,RMSE,31.0,2,prithvi,1e-4
biomass,RMSE,20.0,1,<b>resnet</b>,1e-3
biomass,RMSE,20.5,2,<b>resnet</b>,1e-3
"""
SOURCE = "action.source='arXiv 0000.00000, Table 1'"
COLUMNS = "action.columns={score: test metric}"


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scores.csv").write_text(TABLE)
    return tmp_path / "scores.csv"


def report(table, *more):
    run("action=report", f"action.table={table}", *more)


def test_each_data_set_is_told_by_itself_and_every_number_is_marked_as_copied(table, tmp_path):
    report(table, SOURCE, COLUMNS)
    with (tmp_path / "scores_report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["origin"] for row in rows} == {"copied"}
    assert {row["source"] for row in rows} == {"arXiv 0000.00000, Table 1"}
    assert [(row["dataset"], row["backbone"]) for row in rows if row["place"] == "1"] == [
        ("burn", "prithvi"),
        ("biomass", "<b>resnet</b>"),  # of an error less is better
    ]
    assert [row["tied"] for row in rows if row["dataset"] == "burn"] == ["True", "False"]
    page = (tmp_path / "scores_report.html").read_text()
    assert "Ranks 1 and 2 differ on 2 of 2 data sets" in page
    assert "<b>resnet</b>" not in page
    assert "1 rows without a score are left out" in page
    assert "Copied: arXiv 0000.00000" in (tmp_path / "scores_report.tex").read_text()
    assert "| 1 | prithvi | **0.905** |" in (tmp_path / "scores_report.md").read_text()


def test_what_cant_be_told_is_not_claimed(table, tmp_path):
    table.write_text("metric,score,seed,backbone\nnRMSE,0.9,1,a\nnRMSE,0.5,1,b\nnRMSE,0.1,1,c\n")
    report(table, SOURCE)
    with (tmp_path / "scores_report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["backbone"] for row in rows] == ["c", "b", "a"]  # an error by its name
    assert {row["tied"] for row in rows} == {""}


def test_a_number_that_tells_compositions_apart_is_part_of_their_names(table, tmp_path):
    lines = [f"{0.1 if crop == 224 else 0.9},{seed},vit,{crop}" for crop in (224, 512) for seed in (1, 2)]
    table.write_text("score,seed,backbone,crop\n" + "\n".join(lines) + "\n")
    report(table, SOURCE)
    with (tmp_path / "scores_report.csv").open() as file:
        assert [(row["crop"], float(row["score"])) for row in csv.DictReader(file)] == [("512", 0.9), ("224", 0.1)]


def test_which_way_is_better_can_be_said(table, tmp_path):
    report(table, SOURCE, COLUMNS, "action.lower_is_better=[]")
    with (tmp_path / "scores_report.csv").open() as file:
        best = [row["backbone"] for row in csv.DictReader(file) if row["place"] == "1"]
    assert best == ["prithvi", "prithvi"]


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        (TABLE, [COLUMNS], "say where they are from"),
        (TABLE, [SOURCE], "has no column 'score'.*test metric"),
        (TABLE, [SOURCE, "action.columns={score: test metrics}"], "Did you mean 'test metric'"),
        (TABLE, [SOURCE, "action.columns={value: test metric}"], "knows score, seed, dataset, metric; got 'value'"),
        (TABLE.replace("0.91", "good"), [SOURCE, COLUMNS], "line 3: the score 'good' is not a number"),
        (TABLE.replace("0.91,2", "0.91,1"), [SOURCE, COLUMNS], "line 3: seed 1 of this composition is there twice"),
        ("score,seed\n", [SOURCE], "has no rows"),
        ("\ufeffscore,seed\n\xff", [SOURCE], "has no column|is not a CSV|not a number"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(table, text, more, message):
    table.write_text(text, encoding="latin-1" if "\xff" in text and "\ufeff" not in text else "utf-8")
    with pytest.raises(UserError, match=message):
        report(table, *more)


def test_a_table_that_is_not_there_and_settings_of_runs_are_refused(table):
    with pytest.raises(UserError, match="is not a file"):
        report("nowhere.csv", SOURCE)
    with pytest.raises(UserError, match="backbone=vit would change nothing"):
        report(table, SOURCE, COLUMNS, "backbone=vit")


def test_the_public_results_of_geobench2_say_that_ten_of_nineteen_ranks_differ(tmp_path, monkeypatch):
    path = SHARED / "data" / "geobench2" / "full_finetuning.csv"
    if not path.is_file():
        pytest.skip("needs the public per-seed results of GEO-Bench-2 (../shared/data/geobench2)")
    monkeypatch.chdir(tmp_path)
    report(path, SOURCE, COLUMNS)
    assert "Ranks 1 and 2 differ on 10 of 19 data sets" in (tmp_path / "full_finetuning_report.html").read_text()
