"""Trials of compositions: one that hangs or breaks hides nothing of the others."""

import time
from typing import Any

import pytest

from geocompose.errors import UserError
from geocompose.launchers import trials


def try_out(config: dict[str, Any]) -> None:
    if config["how"] == "refuse":
        raise UserError("No.")
    if config["how"] == "break":
        raise RuntimeError("of a part's own")
    if config["how"] == "hang":
        time.sleep(600)


def test_a_trial_that_hangs_is_ended_and_told_and_the_others_are_tried(monkeypatch, caplog):
    monkeypatch.setattr(trials, "LIMIT_S", 5.0)
    monkeypatch.setattr(trials.log, "propagate", True)
    configs = [{"how": how} for how in ("refuse", "hang", "fit", "break", "refuse")]
    with caplog.at_level("WARNING"):
        assert list(trials.tried(configs, try_out)) == ["No.", None, None, None, "No."]
    assert caplog.text.count("The trial of a composition was ended after") == 1


@pytest.mark.parametrize("configs", [[], [{"how": "fit"}]])
def test_what_fits_has_no_reason(configs):
    assert list(trials.tried(configs, try_out)) == [None] * len(configs)
