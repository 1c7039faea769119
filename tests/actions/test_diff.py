"""action=diff on made runs in any state."""

from pathlib import Path

import pytest

from geocompose.errors import UserError
from tests.kit.command import run
from tests.kit.made_studies import made_run

CONFIG = "seed: {seed}\ntrainer: {{accelerator: {device}}}\nbackbone: {{_target_: evil.Call}}\n"


@pytest.fixture
def two(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = made_run(Path("a"), "a" * 10, config=CONFIG.format(seed=0, device="cpu"), metrics={"val/RMSE": 2.0})
    second = made_run(
        Path("b"), "b" * 10, config=CONFIG.format(seed=1, device="gpu"), metrics={"val/RMSE": 1.5},
        versions={"python": "3.12.1", "torch": "2.13.0"}, status="failed", error="no",
    )  # fmt: skip
    return first, second


def rows(printed):
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines() if line[:1] == "│"]


def test_diff_shows_configuration_environment_and_metrics(two, capsys):
    run("action=diff", f"action.runs=[{two[0]},{two[1]}]")
    printed = capsys.readouterr().out
    assert f"second: {two[1]} (failed)" in printed
    assert rows(printed) == [
        ["seed", "0", "1"],
        ["versions.torch", "2.12.0", "2.13.0"],
        ["val/RMSE", "2", "1.5000", "-0.5000", "second"],
    ]
    assert "changes no result by itself: trainer.accelerator (cpu | gpu)" in printed


def test_runs_that_are_alike_are_said_to_be(two, capsys):
    run("action=diff", f"action.runs=[{two[0]},{two[0]}]")
    printed = capsys.readouterr().out
    assert "configuration: the same" in printed
    assert "environment: the same" in printed


@pytest.mark.parametrize(
    ("runs", "match"),
    [
        ("[a/prithvi-upernet-none-aaaaaaaaaa]", "two runs"),
        ("[a/prithvi-upernet-none-aaaaaaaaaa,a/prithvi-upernet-none-aaaaaaaaab]", "Did you mean a/.*aaaaaaaaaa"),
        ("[a,b]", "not a run's folder"),
    ],
)
def test_what_is_not_two_runs_is_refused(two, runs, match):
    with pytest.raises(UserError, match=match):
        run("action=diff", f"action.runs={runs}")


def test_damaged_files_are_named(two):
    (two[1] / "config.yaml").write_text("a: [")
    with pytest.raises(UserError, match=r"config\.yaml is damaged"):
        run("action=diff", f"action.runs=[{two[0]},{two[1]}]")
    (two[0] / "record.json").write_text("{")
    with pytest.raises(UserError, match=r"record\.json is damaged"):
        run("action=diff", f"action.runs=[{two[0]},{two[1]}]")


def test_overrides_that_would_change_nothing_are_refused(two):
    with pytest.raises(UserError, match="seed=1 would change nothing"):
        run("action=diff", f"action.runs=[{two[0]},{two[1]}]", "seed=1")
