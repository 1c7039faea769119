"""A sweep's cells, its closing table and its exit code, on a small configuration of its own whose runs take no time."""

import sys
from pathlib import Path

import pytest

from geocompose.cli import Experiment
from geocompose.configuration.overrides import own_overrides, swept_keys
from geocompose.studies.cells import Outcome
from geocompose.studies.closing_table import SELECTED
from tests.kit.command import typed
from tests.kit.places import CONF

CALLS: list[list[str]] = []

CONFIG = """
defaults:
  - _self_
  - action: fake
  - experiment: null
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
  - override hydra/sweeper: geocompose
seed: 0
debug: false
hydra: {output_subdir: null, run: {dir: .}, sweep: {dir: ., subdir: .}, job: {chdir: false}}
"""
OPTIONS = {
    "action/fake": "{_target_: tests.launchers.test_sweep.fake, becomes: done, metric: mIoU}",
    "action/nothing": "{_target_: tests.launchers.test_sweep.nothing}",
    "action/keyed": "{_target_: tests.launchers.test_sweep.keyed, key: null}",
    "experiment/a": "# @package _global_\ndefaults: [{override /action: keyed}]\nseed: 3",
    "experiment/b": "# @package _global_\ndefaults: [{override /action: keyed}]\nseed: 4",
}


def fake(experiment: Experiment, becomes: str = "done", metric: str = "mIoU") -> Outcome:
    """Return a run's outcome, or end in another way."""
    CALLS.append([*experiment.overrides, *sys.argv[1:2]])
    if becomes == "impossible":
        raise ValueError("This composition can't be.\nA second line.")
    if becomes == "broken":
        raise RuntimeError("Something broke.")
    if becomes == "stopped":
        raise KeyboardInterrupt
    seed = experiment.config["seed"]
    metrics = {f"val/{metric}": 0.5 + seed / 10, f"test/{metric}": 0.25, "val/loss": 1.0}
    return Outcome(Path("outputs"), metrics, 12.0, computed=becomes == "done")


def nothing(experiment: Experiment) -> None:
    """Do something that is not a run."""


def keyed(experiment: Experiment, key: str | None = None) -> None:
    """Remember a key that other options of the group lack."""
    CALLS.append([f"{key}, seed {experiment.config['seed']}"])


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """Return a function that runs a command line and returns its exit code, what it printed and its errors."""
    conf = tmp_path / "conf"
    for name, text in {"config": CONFIG, **OPTIONS}.items():
        path = conf / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("COLUMNS", "80")
    CALLS.clear()

    command = typed(conf, monkeypatch, capsys)

    def call(*arguments: str) -> tuple[int, str, str]:
        answer = command(*arguments)
        assert list(Path().iterdir()) == []
        return answer

    return call


def rows(printed: str) -> list[list[str]]:
    """Return the cells of each row of the closing table; what stands on several lines is joined."""
    rows = [line.strip("│") for line in printed.splitlines() if line[:1] == "│"]
    lines = [[cell.strip() for cell in row.split("│")] for row in rows]
    found: list[list[str]] = []
    for line in lines:
        if line[0]:
            found.append(line)
        else:
            found[-1] = [f"{above} {below}".strip() for above, below in zip(found[-1], line, strict=True)]
    return found


def test_a_sweep_ends_with_a_row_for_each_cell_of_what_differs(sweep):
    code, printed, errors = sweep("-m", "action.metric=F1_macro", "seed=0,1")
    assert (code, errors) == (0, "")
    assert rows(printed) == [["1", "0", "done", "0.5000", "0.2500", "12"], ["2", "1", "done", "0.6000", "0.2500", "12"]]
    assert "sweep; val and test are F1_macro" in printed
    assert "metric" not in printed  # it is the same in all cells
    assert printed.endswith("2 cells: 2 done\n")


def test_each_cell_is_announced_by_its_number_and_what_makes_it(sweep):
    _, printed, _ = sweep("-m", "seed=0,1", "action.metric=mIoU,RMSE")
    heads = [line for line in printed.splitlines() if line.startswith("──")]
    assert heads[1].startswith("── 2 of 4: seed=0 action.metric=RMSE ─")
    assert {len(line) for line in heads} == {80}


def test_failed_cells_are_rows_with_their_reasons_below_and_the_others_complete(sweep):
    code, printed, errors = sweep("-m", "action.becomes=impossible,finished,broken,done", "seed=0,1")
    assert code == 1
    assert [row[3] for row in rows(printed)] == ["failed"] * 2 + ["finished already"] * 2 + ["failed"] * 2 + [
        "done"
    ] * 2
    tail = printed[printed.index("failed: This") :].splitlines()
    assert tail == [
        "failed: This composition can't be.",
        "  1: action.becomes=impossible seed=0",
        "  2: action.becomes=impossible seed=1",
        "failed: RuntimeError: Something broke.",
        "  5: action.becomes=broken seed=0",
        "  6: action.becomes=broken seed=1",
        "8 cells: 2 done, 2 finished already, 4 failed",
    ]
    assert errors.startswith("error: This composition can't be.\n")
    assert len(CALLS) == 8


def test_an_interrupted_sweep_shows_what_is_done_and_what_was_not_run(sweep):
    code, printed, errors = sweep("-m", "action.becomes=done,stopped,finished", "seed=1")
    assert code == 130
    assert [row[1:3] for row in rows(printed)] == [["done", "done"], ["stopped", "interrupted"]]
    assert printed.endswith(
        "3 cells: 1 done, 1 interrupted, 1 not run\nRun the same command again to compute what is missing.\n"
    )
    assert errors == "Interrupted.\n"
    assert len(CALLS) == 2


def test_an_option_that_does_not_compose_stops_the_sweep_before_anything_runs(sweep):
    code, printed, errors = sweep("-m", "seed=0,1", "action.becoms=done")
    assert code == 1
    assert errors.startswith("error: action has no key 'becoms'. Did you mean 'becomes'?")
    assert (printed, CALLS) == ("", [])


def test_a_key_that_one_cell_alone_lacks_stops_the_sweep_and_names_the_cell(sweep):
    code, printed, errors = sweep("-m", "action=fake,keyed", "action.key=x")
    assert code == 1
    assert errors.startswith("error: action has no key 'key'. It is a key of action=keyed.")
    assert errors.endswith("Allowed: becomes, metric. This is the cell action=fake.\n")
    assert (printed, CALLS) == ("", [])


def test_a_sweep_of_nothing_is_an_error(sweep):
    code, _, errors = sweep("-m", "experiment=glob(none*)")
    assert code == 1
    assert errors.startswith("error: The sweep has no cells: nothing fits experiment=glob(none*).")


def test_a_sweep_over_an_action_that_is_no_run_ends_with_its_table_too(sweep):
    code, printed, _ = sweep("-m", "action=nothing", "seed=0,1")
    assert code == 0
    assert [row[:3] for row in rows(printed)] == [["1", "0", "done"], ["2", "1", "done"]]
    assert "val" not in printed


def test_a_sweep_over_experiments_takes_values_that_belong_to_their_options(sweep):
    code, printed, errors = sweep("-m", "experiment=a,b", "action.key=x,y", "debug=false")
    assert (code, errors) == (0, "")
    assert CALLS == [["x, seed 3"], ["y, seed 3"], ["x, seed 4"], ["y, seed 4"]]
    assert [row[1:3] for row in rows(printed)] == [["a", "x"], ["a", "y"], ["b", "x"], ["b", "y"]]


def test_cells_are_told_the_command_line_as_it_was_typed(sweep):
    sweep("-m", "seed=0,1")
    assert CALLS == [["seed=0", "-m"], ["seed=1", "-m"]]
    assert sys.argv == ["run.py", "-m", "seed=0,1"]


def test_metrics_of_several_tasks_are_named_in_their_rows(sweep):
    _, printed, _ = sweep("-m", "action.metric=mIoU,RMSE", "seed=0")
    assert [row[3:5] for row in rows(printed)] == [["0.5000 mIoU", "0.2500 mIoU"], ["0.5 RMSE", "0.25 RMSE"]]


def test_a_table_of_many_keys_fits_into_80_columns(sweep):
    lists = "[1, 2, 3, 4],[5, 6, 7, 8]"
    keys = ("becomes=done,finished", "metric=mIoU,F1_macro")
    _, printed, _ = sweep("-m", *(f"action.{key}" for key in keys), "seed=0,100001", f"+study='{lists}','{lists}b'")
    table = [line for line in printed.splitlines() if line and line[0] in "┏┃┡│└"]
    assert max(map(len, table)) <= 80
    assert "finished" in printed


def test_a_single_run_has_no_table(sweep):
    code, printed, _ = sweep("seed=1")
    assert (code, printed) == (0, "")
    code, printed, errors = sweep("action.becomes=impossible")
    assert (code, printed) == (1, "")
    assert errors.startswith("error: This composition can't be.")


def test_keys_that_only_some_cells_have_are_swept_keys():
    assert swept_keys([["a=1", "b=2"], ["a=1", "+c=3"]]) == ["b", "c"]
    assert swept_keys([["a=1"]]) == []


def test_the_sweeps_own_configuration_gets_options_and_hydras_keys_alone():
    given = ["experiment=a,b", "data.root=DIR", "backbone=timm", "hydra.sweeper.max_batch_size=2", "seed=0"]
    assert own_overrides(given, ["experiment", "data", "backbone"]) == [given[0], given[2], given[3]]
    assert own_overrides(["a=[1", "b"], ["a"]) == ["a=[1", "b"]


def test_the_metrics_of_the_table_are_those_that_tasks_are_selected_by():
    import importlib

    for option in sorted((CONF / "task").glob("*.yaml")):
        target = next(line for line in option.read_text().splitlines() if line.startswith("_target_: "))
        module, _, name = target.removeprefix("_target_: ").rpartition(".")
        task = getattr(importlib.import_module(module), name)
        assert task.selection[0] in [f"val/{metric}" for metric in SELECTED]
