"""A search: which points are tried, how often, how it goes on, and what is chosen."""

import json
import shutil
from pathlib import Path

import pytest

from tests.kit.searched import lines, outcome, points, records, states, trials
from tests.search.conftest import Command

LR = "trainer.lr=tag(log, interval(1e-4, 1))"
GRID = ("backbone=a,b", "trainer.width=range(2,6,2)")


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_tries_so_many_points_and_a_second_command_none(sampler, command: Command):
    line = ("-m", f"search={sampler}", "search.trials=12", LR, "backbone=a,b,c", "trainer.width=range(1,8)")
    code, printed, _ = command(*line)
    assert code == 0
    assert states() == {"COMPLETE": 12}
    assert len({str(point) for point in points()}) == len(set(lines("completed.txt"))) == 12
    assert all(1e-4 <= point["trainer.lr"] <= 1 and point["trainer.width"] in range(1, 8) for point in points())
    best = max(trials(), key=lambda trial: trial.value)
    assert outcome()["best"]["value"] == best.value
    assert [(each["trial"], each["point"], each["value"]) for each in outcome()["tried"]] == [
        (trial.number, trial.params, trial.value) for trial in trials()
    ]
    assert f"trial {best.number}, val/mIoU {best.value:.4f}" in printed
    again, printed, _ = command(*line)
    assert again == 0
    assert "12 trials, of which 12 are over" in printed
    assert len(lines("completed.txt")) == 12
    more = [text.replace("trials=12", "trials=14") for text in line]
    command(*more)
    assert states() == {"COMPLETE": 14}
    assert len(lines("completed.txt")) == 14


def test_the_same_seed_draws_the_same_points_and_another_one_others(command: Command):
    found = []
    for seed in (0, 0, 1):
        command("-m", "search=tpe", "search.trials=8", f"search.seed={seed}", "search.startup_trials=4", LR, *GRID)
        found.append(points())
        shutil.rmtree("outputs")
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_tpe_finds_better_points_than_its_random_start(command: Command):
    command("-m", "search=tpe", "search.trials=30", LR, "backbone=a,b,c", "trainer.width=range(1,8)")
    values = [trial.value for trial in trials()]
    assert max(values[10:]) > max(values[:10])
    assert sum(values[20:]) / 10 > sum(values[:10]) / 10


def test_a_grid_is_tried_in_order_and_ends(command: Command):
    code, printed, _ = command("-m", "search=grid", *GRID)
    assert code == 0
    assert [(point["backbone"], point["trainer.width"]) for point in points()] == [
        ("a", 2), ("a", 4), ("b", 2), ("b", 4),
    ]  # fmt: skip
    assert "4 cells: 4 done" in printed
    assert outcome()["trials"]["completed"] == 4


def test_a_finite_space_ends_the_search_when_all_of_it_is_known(command: Command):
    code, printed, _ = command("-m", "search=tpe", "search.trials=20", *GRID)
    assert code == 0
    assert states() == {"COMPLETE": 4}
    assert "No further point was found after 4 trials of search.trials=20" in printed
    assert outcome()["exhausted"] is True


def test_another_space_or_sampler_is_another_search_of_the_study(command: Command):
    command("-m", "search=grid", *GRID)
    command("-m", "search=grid", "backbone=a,b,c", "trainer.width=range(2,6,2)")
    command("-m", "search=random", "search.trials=2", *GRID)
    assert len(list(Path("outputs/s/search").glob("*/journal.log"))) == 3
    assert len(lines("completed.txt")) == 6  # what was computed for one counts for the others


def test_an_impossible_composition_costs_no_trial_and_is_not_proposed_again(command: Command):
    code, printed, errors = command("-m", "search=tpe", "search.trials=6", LR, "backbone=a,impossible")
    assert code == 0
    assert states() == {"COMPLETE": 6, "FAIL": 1}
    assert lines("tried.txt").count("impossible") == 1
    assert "refused: trainer.lr=" in errors
    assert "The parts don't fit together." in printed
    assert outcome()["trials"] | {"asked": 6, "completed": 6, "refused": 1} == outcome()["trials"]


def test_a_failed_trial_is_tried_again_and_counts_once(command: Command):
    code, _, errors = command("-m", "search=grid", "backbone=failing_once,b", "trainer.width=4,5")
    assert code == 0
    assert states() == {"FAIL": 2, "COMPLETE": 4}
    assert errors.count("it is tried again") == 2
    assert outcome()["trials"]["asked"] == outcome()["trials"]["completed"] == 4


def test_a_trial_that_fails_again_and_again_is_left_out_until_it_is_asked_for(command: Command):
    line = ("-m", "search=grid", "search.retries=2", "backbone=failing,b")
    code, printed, errors = command(*line)
    assert code == 0
    assert states() == {"FAIL": 3, "COMPLETE": 1}
    assert "3 times: it is left out" in errors
    assert "failed: The loss is not a number." in printed
    command(*line)
    assert len(trials()) == 4
    command(*line, "retry=failed")
    assert states() == {"FAIL": 4, "COMPLETE": 1}


def test_a_search_whose_trials_all_fail_is_an_error(command: Command):
    code, _, errors = command("-m", "search=grid", "backbone=failing", "trainer.width=1,2")
    assert code == 1
    assert "None of 4 trials of the search could be computed, the first one because: The loss is not a number" in errors


def test_pruned_trials_are_marked_everywhere_and_go_on_by_hand(command: Command):
    line = ("-m", "search=grid", "search.pruner=median", "backbone=b,a", "trainer.width=4,5,6,3,8")
    _, printed, _ = command(*line)
    pruned = [trial for trial in trials() if trial.state.name == "PRUNED"]
    assert states() == {"COMPLETE": 5, "PRUNED": 5}
    for trial in pruned:
        record = records()[trial.user_attrs["run_id"]]
        assert record["status"] == "interrupted"
        assert record["stopped_by"]["how"] == "pruned"
        assert record["error"].startswith("pruned by search")
        assert record["metrics"] == {}
        assert record["stopped_by"]["epochs"] == max(trial.intermediate_values) == 1
    assert "10 cells: 5 done, 5 pruned" in printed
    assert Path("outputs/s/cells.csv").read_text().count(",pruned,") == 5
    command("backbone=a", "trainer.width=4")
    record = records()[pruned[0].user_attrs["run_id"]]
    assert (record["status"], record["resumed"], record["stopped_by"]) == ("completed", 1, {})
    assert lines("epochs.txt").count(f"{record['run_id']}:1") == 1


def test_hyperband_prunes_at_its_rungs(command: Command):
    line = (
        "-m",
        "search=random",
        "search.trials=20",
        "search.pruner=hyperband",
        "search.min_epochs=2",
        "search.factor=2",
    )
    code, printed, _ = command(*line, "trainer.max_epochs=8", "trainer.width=range(1,30)", "backbone=a,b,c")
    assert code == 0
    found = states()
    assert set(found) == {"COMPLETE", "PRUNED"}
    assert found["COMPLETE"] + found["PRUNED"] == 20
    stopped = {max(trial.intermediate_values) for trial in trials() if trial.state.name == "PRUNED"}
    assert stopped <= {2, 4}, "twice min_epochs, and so on; never before"
    assert f"{found['PRUNED']} pruned" in printed
    best = max((trial for trial in trials() if trial.state.name == "COMPLETE"), key=lambda trial: trial.value)
    assert outcome()["best"]["trial"] == best.number


def test_trials_are_pruned_and_chosen_by_what_their_runs_are_selected_by(command: Command):
    # The loss of these runs grows with their score, so that a search by the score would choose the opposite.
    line = ("-m", "search=grid", "search.pruner=median", "backbone=b,a", "trainer.width=4,5,6,3,8")
    command(*line, "trainer.select_by=val/loss")
    for trial in trials():
        metrics = records()[trial.user_attrs["run_id"]]["metrics"]
        assert trial.value in (None, metrics.get("val/loss"))
    assert all(trial.state.name == "COMPLETE" for trial in trials() if trial.params["backbone"] == "a")
    best = outcome()["best"]
    assert (best["overrides"][-2:], outcome()["better"]) == (["backbone=a", "trainer.width=8"], "lower")
    assert outcome()["metric"] == "val/loss"
    assert best["value"] == min(trial.value for trial in trials() if trial.state.name == "COMPLETE")


def test_no_trial_opens_the_test_split_and_what_is_chosen_does(command: Command):
    command("-m", "search=random", "search.trials=6", "search.seeds=3", LR, "backbone=a,b")
    tested = {identity for identity, record in records().items() if "test/mIoU" in record["metrics"]}
    assert tested == set(outcome()["chosen"])
    assert len(tested) == 3
    assert set(lines("tested.txt")) == tested
    assert outcome()["best"]["run_id"] in tested
    for identity in tested:
        (why,) = records()[identity]["chosen_by"].values()
        assert why["trials"]["completed"] == 6
        assert why["space"]["trainer.lr"] == {"from": 1e-4, "to": 1.0, "log": True, "whole": False}
        assert why["metric"] == "val/mIoU"


def test_a_search_without_seeds_leaves_the_test_split_closed(command: Command):
    command("-m", "search=grid", "search.seeds=0", "backbone=a,b")
    assert lines("tested.txt") == []
    assert outcome()["best"]["overrides"] == ["backbone=b"]


def test_a_run_that_was_computed_before_is_a_trial_that_costs_nothing(command: Command):
    command("backbone=b")
    command("-m", "search=grid", "backbone=a,b")
    assert states() == {"COMPLETE": 2}
    assert len(lines("completed.txt")) == 1


def test_several_workers_ask_for_their_points(command: Command):
    code, printed, _ = command(
        "-m", "search=random", "search.trials=8", LR, "backbone=a,b", "launcher=local", "launcher.workers=2"
    )
    assert code == 0
    assert "8 cells: 8 done" in printed
    assert len(set(lines("completed.txt"))) == 8


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-m", "search=tpe", "search.trials=2", "backbone=a"], "A search needs something to vary"),
        (["-m", "search=tpe", "backbone=a,b"], "search.trials is required"),
        (["search=tpe", "backbone=a"], "A search computes many runs: add -m"),
        (
            ["-m", "search=grid", "trainer.select_by=val/mIoU,val/loss"],
            "judged by val/loss, others of the search by val/m",
        ),
        (["-m", "search=tpe", "search.trials=0", "backbone=a,b"], "search.trials must be"),
        (["-m", "search=tpe", "search.trials=2", "seed=0,1", "backbone=a,b"], "search.seeds=5"),
        (["-m", "search=tpe", "search.trials=2", "study=x,y"], "study can't be searched, because it changes no score"),
        (["-m", "search=grid", LR], "search=grid needs values that can be listed"),
        (["-m", "search=halving", LR], "search.trials is required where the space has an interval"),
        (["-m", "search=halving", "trainer.max_epochs=2,4"], "trainer.max_epochs can't be searched"),
        (["-m", "search=grid", "search.pruner=median", "trainer.max_epochs=1", "backbone=a,b"], "can't be ended early"),
        (["-m", "search=grid", "backbone=a,b", "launcher=plan_only"], "launcher=plan_only can't plan a search"),
        (["-m", "search=grid", "backbone=a,b", "rerun=true"], "rerun=true would compute each trial anew"),
        (["-m", "search=grid", "backbone=a,nowhere"], "nowhere"),
        (["-m", "search=grid", "backbone=a,b", "trainer.widht=1,2"], "widht"),
        (["-m", "search=grid", "action=other", "backbone=a,b"], "A search is for runs that are fitted"),
        (["-m", LR], "add a search, such as search=tpe"),
        (["-m", "search=grid,tpe", "backbone=a,b"], "one command has one search"),
        (["-m", "search=tpe", "search.trials=2,3", "backbone=a,b"], "search.trials can't be searched"),
    ],
)
def test_what_can_not_be_searched_is_told_before_anything_is_computed(arguments, says, command: Command):
    code, _, errors = command(*arguments)
    assert code == 1
    assert says in errors
    assert lines("epochs.txt") == []


def test_a_search_without_optuna_says_how_to_install_it(command: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("geocompose.catalog.optional.lacking", lambda source: ["optuna"])
    code, _, errors = command("-m", "search=grid", "backbone=a,b")
    assert code == 1
    assert "A search needs the package optuna, which is not installed: pip install -r requirements-search" in errors


def test_a_journal_whose_last_line_a_kill_has_cut_short_goes_on(command: Command):
    line = ("-m", "search=random", LR)
    command(*line, "search.trials=2")
    (journal,) = Path("outputs/s/search").glob("*/journal.log")
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id"')
    code, _, _ = command(*line, "search.trials=3")
    assert code == 0
    assert states() == {"COMPLETE": 3}
    assert [json.loads(text) for text in journal.read_text().splitlines()]


def test_an_engine_of_whole_batches_gets_so_many_trials_at_a_time(command: Command):
    code, _, _ = command("-m", "search=random", "search.trials=7", "search.batch=3", LR, "launcher=batch")
    assert code == 0
    assert lines("batches.txt")[:3] == ["3", "3", "1"]
    assert states() == {"COMPLETE": 7}


def test_a_search_whose_hours_are_over_chooses_nothing_yet(command: Command):
    code, printed, _ = command("-m", "search=grid", "backbone=a,b", "launcher.hours=1e-9")
    assert code == 0
    assert "The search is not finished. The same command goes on with it." in printed
    assert (outcome()["finished"], outcome()["chosen"]) == (False, [])
    assert lines("tested.txt") == []
    command("-m", "search=grid", "backbone=a,b")
    assert outcome()["finished"] is True


def test_a_journal_is_data_and_composes_nothing_that_was_not_typed(command: Command):
    command("-m", "search=random", "search.trials=1", "backbone=a,b")
    (journal,) = Path("outputs/s/search").glob("*/journal.log")
    text = journal.read_text()
    assert '["a","b"]' in text.replace("\\", "").replace(" ", "")
    for name in ("a", "b"):
        text = text.replace(f'\\"{name}\\"', '\\"${oc.env:HOME}\\"')
    journal.write_text(text)
    code, _, errors = command("-m", "search=random", "search.trials=1", "backbone=a,b")
    assert code == 1
    assert "is not a point of this search: its journal is damaged or foreign" in errors
