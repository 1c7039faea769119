"""`action=report` on made-up studies: the page, its sentences, and the tables beside it."""

import csv
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from geocompose.errors import UserError
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
    assert "All test tiles lie in one raster, only: nothing is said of other places" in text


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
