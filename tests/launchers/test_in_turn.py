"""Cells in turn: what another process computes is neither done here nor failed."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from geocompose.launchers import in_turn
from geocompose.launchers.in_turn import Jobs
from geocompose.runs import RunHeldError
from geocompose.studies.cells import Outcome


def jobs(monkeypatch: pytest.MonkeyPatch, planned: list[list[str]] | None) -> tuple[Jobs, list[BaseException]]:
    """Jobs of which those with seed=1 are held by another process."""
    reported: list[BaseException] = []

    def act(composed: str) -> Outcome:
        if composed == "seed=1":
            raise RunHeldError("This run is being computed by process 7 on node3 since 10:00.")
        return Outcome(Path("outputs/a"), {"val/mIoU": 0.5}, 1.0, computed=True)

    made = Jobs(act, reported.append)
    made.planned = planned
    overrides = iter(planned or [["seed=1"]])
    monkeypatch.setattr(
        in_turn.HydraConfig, "get", lambda: SimpleNamespace(overrides=SimpleNamespace(task=next(overrides)))
    )
    return made, reported


def test_a_sweep_goes_on_past_cells_that_are_computed_elsewhere(monkeypatch, capsys):
    made, reported = jobs(monkeypatch, [["seed=0"], ["seed=1"], ["seed=2"]])
    for seed in range(3):
        made(f"seed={seed}")
    assert [cell.status for cell in made.cells] == ["done", "computed elsewhere", "done"]
    assert not made.failed
    assert len(reported) == 1
    made.show()
    shown = capsys.readouterr().out
    assert "3 cells: 2 done, 1 computed elsewhere" in shown
    assert "Run the same command again when they have finished" in shown


def test_a_single_run_that_is_computed_elsewhere_is_an_error(monkeypatch):
    made, reported = jobs(monkeypatch, None)
    made("seed=1")
    assert made.failed
    assert isinstance(reported[0], RunHeldError)
