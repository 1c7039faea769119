"""Successive halving: its rungs, who goes on, and that who is left behind has no score."""

import math
from pathlib import Path

import pytest

from geocompose.launchers.runs import Judged
from geocompose.search.halving import rungs, standing
from geocompose.search.trials import Trial
from tests.kit.searched import lines, outcome, records, states, trials
from tests.search.conftest import Command


@pytest.mark.parametrize(
    ("num_epochs", "every", "frozen", "least", "factor", "found"),
    [
        (27, 1, 0, 1, 3, [1, 3, 9]),
        (10, 1, 0, 1, 3, [1, 3, 9]),
        (10, 1, 0, 2, 2, [2, 4, 8]),
        (27, 1, 5, 1, 3, [6, 9]),  # a backbone that is frozen for 5 epochs
        (27, 1, 12, 1, 3, [13]),
        (10, 2, 0, 1, 3, [2, 4]),  # validated every other epoch, 10 is the end
        (3, 1, 2, 1, 3, []),
    ],
)
def test_rungs_are_validated_epochs_and_none_is_in_a_frozen_phase(num_epochs, every, frozen, least, factor, found):
    assert rungs(Judged("val/mIoU", "higher", num_epochs, every, frozen), least, factor) == found


def trial(number: int, *values: float, state="running", value: float | None = None) -> Trial:
    scores = dict(enumerate(values, 1))
    return Trial(number, state, {}, run_id=str(number), value=value, values=scores)


def left(now) -> list[int]:
    return [each.number for each, _ in now.eliminated]


@pytest.mark.parametrize(("better", "out"), [("higher", [0, 2, 3]), ("lower", [1, 2, 4])])
def test_the_best_of_each_rung_go_on_by_their_best_score_so_far(better, out):
    planted = [trial(0, 0.1), trial(1, 0.9), trial(2, 0.5), trial(3, 0.2), trial(4, 0.8)]
    now = standing(planted, [1, 3], 3, better)
    assert sorted(left(now)) == out
    assert now.epochs == 3
    assert [each.number for each in now.open] == ([1, 4] if better == "higher" else [0, 3])


def test_a_rung_waits_for_all_and_a_failed_trial_is_not_waited_for():
    planted = [trial(0, 0.1), trial(1), trial(2, state="failed")]
    now = standing(planted, [1], 2, "higher")
    assert (now.epochs, [each.number for each in now.open], left(now)) == (1, [1], [])
    planted[1] = trial(1, 0.5)
    now = standing(planted, [1], 2, "higher")
    assert (now.epochs, [each.number for each in now.open], left(now)) == (None, [1], [0])


def test_who_fails_after_a_rung_gives_nobody_its_place():
    planted = [trial(0, 0.9, state="failed"), trial(1, 0.5, state="pruned"), trial(2, 0.7)]
    now = standing(planted, [1, 3], 2, "higher")
    assert [each.number for each in now.open] == [2]


def test_a_score_that_is_not_a_number_is_the_worst():
    now = standing([trial(0, math.nan), trial(1, 0.0)], [1], 2, "higher")
    assert left(now) == [0]


def test_the_last_rung_is_the_end_and_then_nothing_is_open():
    planted = [trial(0, 0.1, state="pruned"), trial(1, 0.2, state="completed", value=0.2)]
    assert standing(planted, [1], 2, "higher").open == []


def test_cells_are_halved_by_planted_scores_and_the_rest_has_no_score(command: Command):
    # b climbs highest, and of widths 4 is the best: b4, b6, c4 are the first three after a rung.
    code, printed, _ = command(
        "-m", "search=halving", "search.seeds=2", "backbone=a,b,c", "trainer.width=4,8,12", "trainer.max_epochs=10",
        "trainer.frozen=2",
    )  # fmt: skip
    assert code == 0
    reached = {f"{each.params['backbone']}{each.params['trainer.width']}": max(each.intermediate_values)
               for each in trials()}  # fmt: skip
    assert reached == {"a4": 3, "a8": 3, "a12": 3, "b4": 10, "b8": 9, "b12": 3, "c4": 9, "c8": 3, "c12": 3}
    assert states() == {"COMPLETE": 1, "PRUNED": 8}
    scored = [identity for identity, record in records().items() if record["metrics"]]
    assert sorted(scored) == sorted(outcome()["chosen"])
    assert len(scored) == 2
    assert "9 cells: 1 done, 8 pruned" in printed
    assert "number 4 of 9, and the best 3 go on (rung 1 of 2)" in Path("outputs/s/cells.csv").read_text()
    assert len(lines("epochs.txt")) == len(set(lines("epochs.txt")))


def test_a_halving_of_points_that_are_drawn(command: Command):
    command("-m", "search=halving", "search.trials=6", "trainer.lr=tag(log, interval(1e-4, 1))", "backbone=a,b")
    assert states() == {"COMPLETE": 1, "PRUNED": 5}
    best = next(each for each in trials() if each.state.name == "COMPLETE")
    assert outcome()["best"]["run_id"] == best.user_attrs["run_id"]


def test_a_halving_leaves_out_what_is_impossible_or_fails(command: Command):
    command("-m", "search=halving", "backbone=impossible,failing,b,a")
    assert states() == {"FAIL": 3, "COMPLETE": 1, "PRUNED": 1}
    assert outcome()["best"]["overrides"] == ["backbone=b"]
