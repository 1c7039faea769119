"""What a report says and draws of searches, from the files that these write."""

import json
from xml.etree import ElementTree

import pytest

from geocompose.reports.drawings import search_drawings
from geocompose.reports.searches import searches
from tests.kit.command import run
from tests.kit.scored_studies import scored_study

FOUND = {
    "sampler": "tpe", "finished": True, "better": "higher", "metric": "val/mIoU", "chosen": ["a1"],
    "space": {"optimizer.lr": {"from": 1e-5, "to": 1e-2, "log": True}, "decoder": {"choice": ["fcn", "unet"]}},
    "trials": {"asked": 5, "completed": 4, "pruned": 1, "failed": 0, "refused": 0, "running": 0},
    "best": {"trial": 3, "value": 0.8, "overrides": ["optimizer.lr=0.001", "decoder=unet"], "run_id": "a1"},
    "tried": [
        {"trial": 0, "state": "completed", "point": {"optimizer.lr": 1e-5, "decoder": "fcn"}, "value": 0.5},
        {"trial": 1, "state": "pruned", "point": {"optimizer.lr": 1e-2, "decoder": "fcn"}, "value": None},
        {"trial": 2, "state": "completed", "point": {"optimizer.lr": 1e-4, "decoder": "unet"}, "value": 0.7},
        {"trial": 3, "state": "completed", "point": {"optimizer.lr": 1e-3, "decoder": "unet"}, "value": 0.8},
        {"trial": 4, "state": "completed", "point": {"optimizer.lr": 1e-2, "decoder": "unet"}, "value": 0.6},
    ],
}  # fmt: skip


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs" / "floods"


def write(study, found, name="0123456789"):
    (study / "search").mkdir(parents=True, exist_ok=True)
    (study / "search" / f"{name}.json").write_text(json.dumps(found))


def test_trials_are_told_in_words_and_drawn_in_their_order_and_over_each_key(study):
    write(study, FOUND)
    (found,) = searches([study])
    assert "4 completed, 1 pruned" in found.words
    assert [(trial.trial, trial.value) for trial in found.tried] == [(0, 0.5), (2, 0.7), (3, 0.8), (4, 0.6)]
    assert (found.keys, found.logarithmic, found.best) == (["optimizer.lr", "decoder"], ("optimizer.lr",), 3)
    drawings = [ElementTree.fromstring(text) for text in search_drawings(found)]
    words = [" ".join("".join(each.itertext()).split()) for each in drawings]
    assert len(words) == 3
    assert "the best so far" in words[0]
    assert "optimizer.lr" in words[1]
    assert "fcn" in words[2]
    assert "unet" in words[2]


def test_a_key_that_did_not_vary_is_not_drawn(study):
    same = [each | {"point": each["point"] | {"decoder": "unet"}} for each in FOUND["tried"]]
    write(study, FOUND | {"tried": same})
    (found,) = searches([study])
    assert found.keys == ["optimizer.lr"]


@pytest.mark.parametrize("tried", [None, [], FOUND["tried"][:2]])
def test_a_search_without_two_completed_trials_has_words_alone(study, tried):
    write(
        study,
        {key: value for key, value in FOUND.items() if key != "tried"} | ({} if tried is None else {"tried": tried}),
    )
    (found,) = searches([study])
    assert "Chosen by val/mIoU 0.800" in found.words
    assert search_drawings(found) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"tried": 7},
        {"tried": [{"state": "completed"}]},
        {"tried": [{"trial": 0, "state": "completed", "point": {"decoder": ["a"]}, "value": "much"}]},
        {"tried": [{"trial": 10**400, "state": "completed", "point": {}, "value": 0.5}]},
        {"tried": [{"trial": 1, "state": "completed", "point": {}, "value": float("inf")}]},
        {"space": []},
        {"best": 3},
    ],
)
def test_an_odd_file_is_left_out_and_said(study, odd, caplog):
    write(study, FOUND | odd)
    write(study, FOUND, name="ffffffffff")
    assert len(list(searches([study]))) == 1
    assert "is not a search's file" in caplog.text


def test_values_of_several_types_are_names_on_the_axis(study):
    points = [{"optimizer.lr": 1e-3, "neck.depth": value} for value in (1, "auto", 2, True, None)]
    tried = [
        {"trial": n, "state": "completed", "point": point, "value": 0.5 + n / 10} for n, point in enumerate(points)
    ]
    write(study, FOUND | {"tried": tried})
    (found,) = searches([study])
    assert found.values_of("neck.depth") == ["1", "auto", "2", "True", "None"]
    assert len(search_drawings(found)) == 2


@pytest.mark.parametrize("chosen", [True, False])
def test_a_runs_page_tells_of_the_searches_that_chose_it(study, chosen):
    scored_study(study, {("resnet18", "fcn", "none"): 0.1}, seeds=(0, 1))
    folder = min(path for path in study.iterdir() if path.is_dir())
    identity = folder.name.rpartition("-")[2]
    write(study, FOUND | {"chosen": [identity if chosen else "ffff"]})
    run("action=report", f"action.run={folder}")
    page = (folder / "report.html").read_text()
    assert ("Search 0123456789" in page) is chosen
    assert f"<h1>floods: {folder.name}</h1>" in page


@pytest.mark.parametrize("odd", [float("inf"), float("nan"), 10**400])
def test_numbers_that_no_axis_shows_are_names(study, odd):
    tried = [each | {"point": each["point"] | {"optimizer.lr": odd}} for each in FOUND["tried"][:3]]
    write(study, FOUND | {"tried": [*tried, *FOUND["tried"][3:]]})
    (found,) = searches([study])
    assert all(isinstance(value, str) for value in found.values_of("optimizer.lr"))
    assert len(search_drawings(found)) == 3


def test_the_page_holds_the_drawings(study):
    scored_study(study, {("resnet18", "fcn", "none"): 0.1, ("resnet18", "unet", "none"): 0.2})
    run("action=report", "study=floods")
    before = (study / "report.html").read_text().count("<svg")
    write(study, FOUND)
    run("action=report", "study=floods")
    page = (study / "report.html").read_text()
    assert page.count("<svg") == before + 3
    assert "Points are completed trials" in page
    assert "Search 0123456789" in (study / "report.md").read_text()
