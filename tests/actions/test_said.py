"""What was left out, converted, assumed or allowed stands in the log, in run.log and in the record: one line each."""

import json
import logging

import pytest

from geocompose.runs.run_log import COURSE, QUIET, run_log
from tests.kit.command import SMALL, only_run, record_of, run

log = logging.getLogger("geocompose")


def test_what_is_said_is_recorded_once_and_the_course_of_a_run_is_not(tmp_path):
    with run_log() as said:
        said.hear(["seed is given more than once; the last one counts: seed=1"])
        log.info("%s was left out", "a tile")
        COURSE.info("resumes")
        said.open(tmp_path / "run.log")
        QUIET.info("the command")
        log.warning("%s was left out", "a tile")
        log.warning("two were left out")
    assert said.lines == [
        "seed is given more than once; the last one counts: seed=1",
        "a tile was left out",
        "two were left out",
    ]
    written = (tmp_path / "run.log").read_text()
    for line in (*said.lines, "resumes", "the command"):
        assert line in written


def test_a_resumed_part_goes_on_with_what_was_said_before():
    with run_log() as said:
        recorded = said.lines
        log.info("second")
        said.go_on(["first", "second"])
        log.info("third")
    assert recorded == ["first", "second", "third"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The folder of a run with one key given twice and random weights."""
    folder = tmp_path_factory.mktemp("said")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(*SMALL, "study=said", "seed=1", "seed=2")
        return folder / only_run("said")


@pytest.mark.parametrize(
    "line",
    [
        "seed is given more than once; the last one counts: seed=2",
        "Backbone test_resnet starts from random weights (backbone.pretrained=false).",
    ],
)
def test_a_run_records_what_its_log_says(fitted, line):
    assert line in record_of(fitted)["said"]
    assert line in (fitted / "run.log").read_text()


def test_an_evaluation_records_what_it_says(fitted, monkeypatch):
    monkeypatch.chdir(fitted.parents[2])
    run("action=evaluate", f"action.run={fitted}", "action.split=test", "action.split=val")
    (written,) = (fitted / "evaluations").glob("*.json")
    assert json.loads(written.read_text())["said"] == [
        "action.split is given more than once; the last one counts: action.split=val"
    ]
