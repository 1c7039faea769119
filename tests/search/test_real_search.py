"""Searches of real runs: a tiny network on synthetic tiles."""

import sys
from pathlib import Path

import pytest

from geocompose.cli import main
from tests.kit.command import SMALL, record_of
from tests.kit.places import CONF
from tests.kit.searched import outcome, records, states, trials

pytestmark = pytest.mark.slow


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    given = {text.partition("=")[0] for text in arguments}
    small = [text for text in SMALL if not text.startswith("decoder") and text.partition("=")[0] not in given]
    monkeypatch.setattr(sys, "argv", ["run.py", "-m", *small, *arguments])
    main(CONF)  # exits where anything fails


def test_a_halving_of_cells_with_lp_ft_ends_as_if_nobody_had_paused_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = ("decoder=fcn,mlp", "peft=none,lp_ft", "optimizer.lr=0.01", "trainer.max_epochs=8")
    command(monkeypatch, *cells, "study=s", "search=halving", "search.factor=2", "launcher.workers=2")
    reached = sorted(max(trial.intermediate_values) for trial in trials())
    # peft=lp_ft is frozen for 2 of 8 epochs: the first rung is after 3, not after 1 and 2.
    assert reached == [3, 3, 4, 8]
    assert states() == {"COMPLETE": 1, "PRUNED": 3}
    (tested,) = (record for record in records().values() if "test/mIoU" in record["metrics"])
    (why,) = tested["chosen_by"].values()
    assert (why["trials"]["asked"], sorted(why["space"])) == (4, ["decoder", "peft"])
    assert outcome()["chosen"] == [tested["run_id"]]
    assert all(record["metrics"] == {} for record in records().values() if record["status"] == "interrupted")
    assert tested["resumed"] == 3  # at two rungs, and to be tested
    overrides = [text for text in outcome()["best"]["overrides"] if not text.startswith("study=")]
    command(monkeypatch, *overrides, "study=undisturbed")
    (folder,) = Path("outputs/undisturbed").glob("*-*")
    undisturbed = record_of(folder)
    assert undisturbed["run_id"] == tested["run_id"]
    assert undisturbed["metrics"] == tested["metrics"]


def test_a_search_of_rates_and_decoders_is_pruned_and_tested_with_two_seeds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search = ("search=tpe", "search.trials=8", "search.startup_trials=3", "search.pruner=median", "search.seeds=2")
    space = ("decoder=fcn,mlp", "optimizer.lr=tag(log, interval(1e-5, 1e-1))", "trainer.max_epochs=4")
    command(monkeypatch, *search, *space, "study=s", "launcher.workers=2")
    found = states()
    assert found["COMPLETE"] + found.get("PRUNED", 0) == 8
    by_id = records()
    for trial in trials():
        if trial.state.name == "COMPLETE":
            assert trial.value == by_id[trial.user_attrs["run_id"]]["metrics"]["val/mIoU"]
    tested = [identity for identity, record in by_id.items() if "test/mIoU" in record["metrics"]]
    assert sorted(tested) == sorted(outcome()["chosen"])
    assert {by_id[identity]["seeds"]["seed"] for identity in tested} == {0, 1}
