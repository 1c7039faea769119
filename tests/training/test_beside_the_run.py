"""A finished training is not lost for a figure, a table or a number beside it."""

import pytest

from geocompose.training import computation
from tests.kit.command import SMALL, only_run, record_of, run


def test_figures_that_cannot_be_drawn_are_recorded_and_the_run_is_complete(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)

    def draw(*arguments, **named):
        raise MemoryError("no room for a picture")

    monkeypatch.setattr(computation, "draw", draw)
    with caplog.at_level("WARNING", "geocompose"):
        run(*SMALL, "study=plain", figures=True)
    recorded = record_of(only_run("plain"))
    assert recorded["status"] == "completed"
    assert recorded["training"]["left_out"] == ["The figures: MemoryError: no room for a picture"]
    assert recorded["metrics"]["test/mIoU"] > 0
    assert "The figures could not be made" in caplog.text


def test_an_interruption_is_still_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def draw(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(computation, "draw", draw)
    with pytest.raises(KeyboardInterrupt):
        run(*SMALL, "study=stopped", figures=True)
    assert record_of(only_run("stopped"))["status"] == "interrupted"
