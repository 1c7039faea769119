"""outputs/<study>/cells.csv: all cells of a study's plan, with what tells them apart, their states and metrics."""

import csv
import io
import math
from dataclasses import asdict, fields
from os.path import relpath
from pathlib import Path

from geocompose.configuration.overrides import key_and_value, swept_keys
from geocompose.runs.atomic import write_text
from geocompose.studies.closing_table import SELECTED
from geocompose.studies.costs import Costs, costs_of
from geocompose.studies.states import CellState, states

CSV_NAME = "cells.csv"
COSTS = tuple(part.name for part in fields(Costs))
_GROUPS = ("backbone", "decoder", "peft", "task", "data")


def write_cells_csv(study: Path) -> Path:
    """Write the table of a study beside its plan, and return its place.

    Raises:
        UserError: the plan is damaged, or the file can't be written.
    """
    found = states(study)
    keys = [key for key in swept_keys([cell.overrides for cell, _ in found]) if key not in _GROUPS]
    metrics = _metrics([state for _, state in found])
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["id", "state", *_GROUPS, *keys, *metrics, "seconds", *COSTS, "lr", "lr_from", "reason", "folder", "log"]
    )
    for cell, state in found:
        values = dict(map(key_and_value, cell.overrides))
        numbers = {} if state.record is None else state.record.metrics
        seconds = "" if state.record is None or state.record.seconds is None else state.record.seconds
        found_costs = asdict(Costs() if state.record is None else costs_of(state.record))
        costs = ["" if found_costs[name] is None else found_costs[name] for name in COSTS]
        rate = {} if state.record is None else state.record.training.get("lr") or {}
        folder = "" if state.folder is None else state.folder.path.name
        table.writerow([
            cell.id, state.state,
            *(cell.choices.get(group) or "" for group in _GROUPS),
            *(values.get(key, "") for key in keys),
            *(_number(numbers.get(name)) for name in metrics),
            seconds, *costs, rate.get("rate", ""), rate.get("source") or rate.get("from", ""),
            state.reason, folder, "" if state.log is None else relpath(state.log, study),
        ])  # fmt: skip
    path = study / CSV_NAME
    write_text(path, text.getvalue())
    return path


def _metrics(found: list[CellState]) -> list[str]:
    """Return the names of all metrics: those that runs are selected by first, then by name."""
    names = {name for state in found if state.record is not None for name in state.record.metrics}
    first = [f"{split}/{name}" for name in SELECTED for split in ("val", "test")]
    return [*(name for name in first if name in names), *sorted(names.difference(first))]


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(value)
