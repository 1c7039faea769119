"""What runs cost, as their records say it, in the tables of studies."""

import csv
import io
from pathlib import Path

from rich.console import Console

from geocompose.runs.folder import ACCELERATOR_PEAK
from geocompose.studies.cells import Cell, Outcome
from geocompose.studies.closing_table import closing_table
from geocompose.studies.costs import Costs, costs_of
from geocompose.studies.reading import read_studies
from geocompose.studies.run_table import run_table, runs_as_csv
from tests.kit.made_studies import made_record, made_run

MEASURED = {
    "training": {"best_bytes": 3_100_000, "lr": {"rate": 9.1e-4, "from": "default", "source": "untuned; LoRA's rate"}},
    "epochs": {"step_s": [0.9, 0.25, None, 0.25]},
    "peak_memory_mb": 800.0,
}


def test_costs_are_read_from_a_record():
    costs = costs_of(made_record("a", **MEASURED))
    assert costs == Costs(100_000 / 5_600_000, 0.25, 800.0, 3_100_000)
    assert costs_of(made_record("b", model={})) == Costs(None, None, None, None)
    on_gpu = costs_of(made_record("c", **MEASURED, hardware={ACCELERATOR_PEAK: 12_000.0}))
    assert on_gpu.memory_mb == 12_000.0
    assert costs_of(made_record("d", epochs={"step_s": [0.5]})).step_s == 0.5


def shown(*costs):
    text = io.StringIO()
    outcomes = [Outcome(Path(), {}, 1.0, True, costs=each) for each in costs]
    cells = [Cell([f"peft={number}"], "done", outcome) for number, outcome in enumerate(outcomes)]
    Console(file=text, width=120).print(closing_table([*cells, Cell(["peft=x"], "refused")], ["peft"]))
    return text.getvalue()


def test_a_sweep_over_methods_shows_what_each_costs():
    table = shown(Costs(0.0123, 0.25, 812.4, 3_100_000), Costs(1.0, 0.5, 900.0, 36_200_000))
    assert all(name in table for name in ("learns %", "s/step", "MB", "result"))
    assert all(value in table for value in ("1.23", "0.25", "812", "3.1 MB", "100.00", "36.2 MB"))


def test_a_sweep_in_which_all_train_the_same_share_does_not():
    assert "learns" not in shown(Costs(1.0, 0.25, 812.4, 1), Costs(1.0, 0.5, 900.0, 2))


def test_the_list_of_runs_has_costs_and_where_rates_are_from(tmp_path):
    made_run(tmp_path / "costs", "a" * 10, "peft=lora", metrics={"val/mIoU": 0.5}, **MEASURED)
    (row,) = csv.DictReader(io.StringIO(runs_as_csv(run_table(read_studies([tmp_path / "costs"]), None, ()))))
    assert float(row["trainable_share"]) == 100_000 / 5_600_000
    assert (row["step_s"], row["memory_mb"], row["result_bytes"]) == ("0.25", "800.0", "3100000")
    assert (row["lr"], row["lr_from"]) == ("0.00091", "untuned; LoRA's rate")
