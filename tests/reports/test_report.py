"""`action=report` on made-up studies: the page, its sentences, and the tables beside it."""

import csv
import io
import json
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from geocompose.errors import UserError
from geocompose.reports.spreadsheet import csv_of
from geocompose.runs import Record
from geocompose.studies.plan import PlanCell, PlanEvent, add_cells, add_events
from tests.kit.command import run
from tests.kit.scored_studies import NAMES, scored_run, scored_study

GOOD, SAME, BAD = ("resnet18", "fcn", "none"), ("resnet18", "unet", "none"), ("prithvi", "fcn", "none")


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs" / "floods"


def report(*more):
    run("action=report", "study=floods", *more)


class Page(HTMLParser):
    """What a page asks of others, the tags it opens, and its text."""

    def __init__(self, text):
        super().__init__()
        self.asks, self.tags, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.asks += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(study):
    return Page((study / "report.html").read_text())


def test_the_page_says_which_to_take_what_it_costs_and_what_is_not_known(study):
    scored_study(study, {GOOD: 0.10, SAME: 0.10, BAD: 0.25}, predictions=True)
    report()
    page = page_of(study)
    assert "2 compositions of 3 can't be told apart from the best one; 1 is worse beyond chance" in page.text
    assert "reaches" in page.text
    assert "all 3 compositions are better than it" in page.text
    assert "GFLOPs 1.5" in page.text
    assert re.search(r"Differences below about 0\.\d+ mostly stay hidden: with 3 seeds and 8 clusters", page.text)
    assert "backbone explains" in page.text
    assert "no images" in page.text.casefold()


def test_perfect_compositions_do_not_keep_a_bad_one_from_being_worse(study):
    scored_study(study, {GOOD: 0.0, SAME: 0.0, BAD: 0.4})
    report()
    assert "2 compositions of 3 can't be told apart from the best one; 1 is worse" in page_of(study).text


def test_one_seed_of_each_explains_nothing(study):
    scored_study(study, {GOOD: 0.10, SAME: 0.12, BAD: 0.25}, seeds=(0,))
    report()
    text = page_of(study).text
    assert "takes two seeds or more of some compositions" in text
    assert "backbone explains" not in text


def test_the_page_needs_nothing_beside_itself(study):
    scored_study(study, {GOOD: 0.10, BAD: 0.25}, predictions=True)
    report()
    page = page_of(study)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.tags.count("svg") >= 2
    outside = [ask for ask in page.asks if not ask.startswith(("data:image/png;base64,", "#"))]
    assert outside == []
    assert sum(ask.startswith("data:") for ask in page.asks) > 10  # maps of errors, and tiles


def test_the_csv_holds_the_numbers_of_the_records_and_says_that_they_were_computed(study):
    scored_study(study, {GOOD: 0.10, BAD: 0.25})
    report()
    with (study / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["origin"] for row in rows} == {"rerun"}
    for row in rows[:2]:
        records = [Record.read(study / name / "record.json") for name in row["runs"].split()]
        assert float(row["score"]) == pytest.approx(np.mean([one.metrics["test/mIoU"] for one in records]), abs=1e-9)
        assert float(row["low"]) < float(row["score"]) < float(row["high"])
    assert rows[2]["what"] == "baseline"


def test_markdown_and_latex_hold_the_same_table(study):
    scored_study(study, {GOOD: 0.10, BAD: 0.25})
    report()
    with (study / "report.csv").open() as file:
        score = f"{float(next(csv.DictReader(file))['score']):.3f}"
    assert f"**{score}**" in (study / "report.md").read_text()
    assert f"\\textbf{{{score}}}" in (study / "report.tex").read_text()


def test_names_of_others_are_shown_and_not_executed(study):
    names = ("<script>alert(1)</script>", "a_b & c$")
    scored_run(study, "aaaa", parts=GOOD, seed=0, wrong=0.1, names=names, scenes=["<img src=x onerror=y>"] * 2)
    report()
    page = page_of(study)
    assert "script" not in page.tags
    assert names[0] in page.text
    assert "onerror" not in " ".join(page.asks)
    assert "a\\_b \\& c\\$" not in (study / "report.html").read_text()


def test_a_spreadsheet_takes_no_name_for_a_formula():
    numbers = ["-0.5", "+1e-3", -0.25, "", None]
    assert list(csv.reader(io.StringIO(csv_of([["=1+1", "@a", "-b", "a=1"], numbers])))) == [
        ["'=1+1", "'@a", "'-b", "a=1"], ["-0.5", "+1e-3", "-0.25", "", ""],
    ]  # fmt: skip


def test_a_study_without_a_finished_run_has_a_page_that_says_why(study):
    scored_run(study, "aaaa", parts=GOOD, seed=0, wrong=0.1, status="failed", error="CUDA out of memory")
    cells = [PlanCell("bbbb", ("backbone=vit", "decoder=fcn"), {"backbone": "vit"})]
    add_cells(study, cells)
    add_events(study, [PlanEvent("refused", "bbbb", "decoder fcn does not fit")])
    report()
    page = page_of(study)
    assert "No scores yet" in page.text
    assert "CUDA out of memory" in page.text
    assert "decoder fcn does not fit" in page.text
    assert "backbone=vit decoder=fcn" in page.text


def test_half_a_study_is_reported_with_what_is_missing(study):
    scored_study(study, {GOOD: 0.10, BAD: 0.25})
    scored_run(study, "cccc", parts=SAME, seed=0, wrong=0.1, status="interrupted")
    report()
    assert "Of the study's 7 runs, 1 interrupted: they are not in these numbers" in page_of(study).text


def test_a_cell_with_one_seed_does_not_keep_the_others_from_being_compared(study):
    scored_study(study, {GOOD: 0.10, BAD: 0.25})
    scored_run(study, "cccc", parts=SAME, seed=0, wrong=0.01)
    report()
    text = page_of(study).text
    assert "Compared are the 2 compositions with several seeds; 1 composition is left out, with one each" in text
    assert "resnet18 · fcn is better than the other one beyond chance" in text


def test_one_seed_and_one_raster_claim_nothing(study):
    scored_study(study, {GOOD: 0.10, BAD: 0.25}, seeds=(0,), scenes=["only"])
    report()
    text = page_of(study).text
    assert "Whether other compositions are as good can't be said: too few seeds" in text
    assert "All tiles lie in one raster, only: nothing is said of other places" in text


def test_a_run_alone_has_a_page_too(study):
    folder = scored_run(study, "aaaa", parts=GOOD, seed=0, wrong=0.1, predictions=True)
    run("action=report", f"action.run={folder}")
    page = page_of(folder)
    assert "resnet18 · fcn · none" in page.text
    assert "Worst tiles" in page.text
    assert all(name in page.text for name in NAMES)


def test_two_studies_are_told_apart_on_one_page(study):
    scored_study(study, {GOOD: 0.10})
    other = study.parent / "later"
    scored_study(other, {GOOD: 0.20}, baseline=None)
    for number, folder in enumerate(sorted(other.iterdir())):
        folder.rename(folder.with_name(f"resnet18-fcn-none-dd{number}"))
    for folder in other.iterdir():
        record = Record.read(folder / "record.json")
        record.run_id = folder.name.rpartition("-")[2]
        record.write(folder / "record.json")
    run("action=report", "action.studies=[floods,later]")
    with (study / "report.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["what"] == "composition"]
    assert [row["study"] for row in rows] == ["floods", "later"]


def test_scores_over_parts_of_the_labels_are_drawn(study):
    for place, fraction in enumerate(("0.1", "1.0")):
        for seed in (0, 1):
            scored_run(
                study, f"{place}{seed}aa", parts=GOOD, seed=seed, wrong=0.2 / (1 + place),
                typed=[f"data.fraction={fraction}"],
            )  # fmt: skip
    report()
    text = page_of(study).text
    assert "With fewer labels" in text
    assert "10 % 100 %" in text


def test_runs_of_a_published_result_are_held_against_it(study):
    scored_study(study, {GOOD: 0.10})
    report()
    assert "No run here is of one of the" in page_of(study).text


def damaged_record(change):
    def damage(folder):
        path = folder / "record.json"
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))

    return damage


def put(record, value, *keys):
    for key in keys[:-1]:
        record = record[key]
    record[keys[-1]] = value


ODD = {
    "target_is_a_list": damaged_record(lambda r: put(r, [1], "data", "target")),
    "kind_is_a_list": damaged_record(lambda r: put(r, ["segmentation"], "data", "target", "kind")),
    "names_are_numbers": damaged_record(lambda r: put(r, [1, 2], "data", "target", "names")),
    "splits_is_a_list": damaged_record(lambda r: put(r, [1], "data", "splits")),
    "seconds_are_endless": damaged_record(lambda r: put(r, 1e300, "seconds")),
    "rate_is_a_number": damaged_record(lambda r: put(r, 3, "training", "lr")),
    "counts_are_negative": lambda f: np.savez(f / "confusion.npz", test=np.full((16, 2, 2), -1)),
    "counts_are_texts": lambda f: np.savez(f / "confusion.npz", test=np.full((16, 2, 2), "x")),
    "counts_are_no_numbers": lambda f: np.savez(f / "confusion.npz", test=np.full((16, 2, 2), np.nan)),
    "predictions_are_small": lambda f: np.savez(f / "predictions.npz", label=np.zeros(16), prediction=np.zeros((1, 2))),
    "predictions_are_damaged": lambda f: (f / "predictions.npz").write_bytes(b"PK"),
    "baselines_are_damaged": lambda f: (f / "baselines.npz").write_bytes(b"PK"),
    "baselines_are_of_others": lambda f: np.savez(f / "baselines.npz", logistic=np.ones((16, 2, 2), int)),
    "thresholds_are_old": lambda f: np.savez(f / "thresholds.npz", val=np.zeros((2, 3)), test=np.zeros((16, 3))),
    "thresholds_are_empty": lambda f: np.savez(
        f / "thresholds.npz", val=np.zeros((2, 2, 100)), test=np.ones((16, 2, 100))
    ),
    "metrics_are_foreign": lambda f: (f / "metrics.csv").write_bytes(b"\xff\x00,,\n1,2,3\n"),
    "a_fraction_is_a_word": lambda f: (f / "overrides.yaml").write_text('- "data.fraction=abc"\n'),
}


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_run_does_not_end_the_report(study, odd):
    scored_study(study, {GOOD: 0.10, BAD: 0.25}, seeds=(0, 1), predictions=True)
    folder = sorted(study.glob("resnet18*"))[0]
    ODD[odd](folder)
    report()
    page = page_of(study)
    assert "prithvi" in page.text
    assert "Which to take" in page.text


def test_a_pipe_in_place_of_a_file_is_not_waited_for(study):
    scored_study(study, {GOOD: 0.10, BAD: 0.25}, seeds=(0, 1))
    folder = sorted(study.glob("resnet18*"))[0]
    for name in ("splits.csv", "confusion.npz"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    report()
    assert "is not a file" in page_of(study).text


def test_settings_that_cells_do_not_share_are_no_protocol(study):
    for number, (optimizer, rate) in enumerate((("adamw", 0.001), ("sgd", 0.1))):
        scored_run(
            study, f"{number}aaa", parts=GOOD, seed=0, wrong=0.1, typed=[f"optimizer={optimizer}"],
            config=f"optimizer: {{lr: {rate}, weight_decay: 0.05}}\ntrainer: {{max_epochs: 7, _partial_: true, "
            "compile: false}\ndata: {fold: 0}\n",
        )  # fmt: skip
        record = Record.read(study / f"resnet18-fcn-none-{number}aaa" / "record.json")
        record.choices["optimizer"] = optimizer
        record.write(study / f"resnet18-fcn-none-{number}aaa" / "record.json")
    report()
    told = (study / "report.md").read_text()
    assert "trainer.max\\_epochs: 7" in told
    assert "optimizer.weight\\_decay: 0.05" in told
    assert "trainer.compile: false" in told
    assert "partial" not in told
    assert "optimizer.lr:" not in told
    assert "data.fold" not in told


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["action.studies=[floods]", "action.run=x"], "action.studies and action.run. Give one"),
        (["action.level=1.5"], "between 0 and 1"),
        (["action.output=page.pdf"], "NAME.html"),
        (["action.output=nowhere/page.html"], "nowhere does not exist"),
        (["action.source=here"], "give action.table too"),
    ],
)
def test_a_wrong_argument_is_told(study, more, message):
    scored_study(study, {GOOD: 0.10}, seeds=(0,))
    with pytest.raises(UserError, match=message):
        run("action=report", *([] if "studies" in more[0] else ["study=floods"]), *more)
