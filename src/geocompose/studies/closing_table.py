"""The table that closes a sweep: a row per cell, with what tells it from the others and its scores."""

import math
from collections.abc import Mapping, Sequence

from rich.table import Table

from geocompose.configuration.overrides import key_and_value
from geocompose.errors import counted, size_in_words
from geocompose.scores import better
from geocompose.studies.cells import Cell
from geocompose.studies.costs import Costs, shares_differ

# What runs are selected by: the first of these among a run's metrics is its task's.
SELECTED = ("mIoU", "F1_macro", "nRMSE", "RMSE", "loss")
# All runs have a loss. Reconstructions, which are selected by it, are told by another metric that they alone have.
_OF_RECONSTRUCTION = "loss_of_mean"
OTHER_CODE = "*"  # behind the status of a cell that other code has computed
# What cells cost, where they train different shares of their models: in percent, seconds of a step, MB, file.
COSTS = ("learns %", "s/step", "MB", "result")


def closing_table(cells: Sequence[Cell], keys: Sequence[str], numbers: Sequence[int] | None = None) -> Table:
    """Return the table of a sweep's cells.

    keys: those whose values differ between cells. numbers: the cells' own; None counts them from 1.
    """
    named = [_selected(cell) for cell in cells]
    names = {name for name in named if name}
    shared = next(iter(names)) if len(names) == 1 else None
    splits = ("val", "test") if names else ()
    # Narrow, for terminals of 80 columns: the metric stands in the title, and long values are folded.
    table = Table(title=f"sweep; val and test are {shared}" if shared else "sweep", title_justify="left")
    table.add_column("#", justify="right", no_wrap=True)
    for key in _short(keys):
        table.add_column(key, overflow="fold")
    table.add_column("status", no_wrap=True)
    for split in splits:
        table.add_column(split, justify="right", no_wrap=shared is not None)
    table.add_column("s", justify="right", no_wrap=True)
    costs = [cell.outcome.costs if cell.outcome else None for cell in cells]
    told = shares_differ(costs)
    for column in COSTS if told else ():
        table.add_column(column, justify="right", no_wrap=True)
    for number, cell, name, cost in zip(numbers or range(1, len(cells) + 1), cells, named, costs, strict=True):
        values = dict(map(key_and_value, cell.overrides))
        swept = [values.get(key, "-") for key in keys]
        scores = [_score(cell, split, name, bare=shared is not None) for split in splits]
        seconds = cell.outcome.seconds if cell.outcome else cell.seconds
        mark = OTHER_CODE if cell.outcome and cell.outcome.other_code else ""
        table.add_row(
            str(number),
            *swept,
            cell.status.replace(" ", "\n") + mark,
            *scores,
            f"{seconds:.0f}",
            *(_costs(cost) if told else ()),
        )
    return table


def _costs(costs: Costs | None) -> list[str]:
    if costs is None:
        return ["-"] * len(COSTS)
    return [
        "-" if costs.trainable_share is None else f"{100 * costs.trainable_share:.2f}",
        "-" if costs.step_s is None else f"{costs.step_s:.3g}",
        "-" if costs.memory_mb is None else f"{costs.memory_mb:.0f}",
        "-" if costs.result_bytes is None else size_in_words(costs.result_bytes),
    ]


def other_code(cells: Sequence[Cell]) -> str | None:
    """Return a line on the cells that other code of this package has computed; None where there are none."""
    told = [cell.outcome.other_code for cell in cells if cell.outcome and cell.outcome.other_code]
    if not told:
        return None
    listed = ", ".join(f"{what} ({counted(told.count(what), 'cell')})" for what in dict.fromkeys(told))
    return f"{OTHER_CODE} computed by {listed}. rerun=true computes a cell again."


def mixed_rates(cells: Sequence[Cell]) -> str | None:
    """Return a line where the cells' learning rates are defaults that differ; None where they don't."""
    rates = [cell.outcome.default_lr for cell in cells if cell.outcome and cell.outcome.default_lr is not None]
    if len(set(rates)) < 2:
        return None
    listed = ", ".join(f"{rate:g} ({counted(rates.count(rate), 'cell')})" for rate in sorted(set(rates)))
    return (
        f"optimizer.lr is the default of each composition, and differs: {listed}. optimizer.lr=RATE is one for all; "
        "docs/learning_rates.md says where they come from."
    )


def untuned_rates(cells: Sequence[Cell]) -> str | None:
    """Return a line on the cells whose default rate no published search has chosen; None where there are none."""
    found = [cell.outcome for cell in cells if cell.outcome and cell.outcome.untuned is not None]
    if not found:
        return None
    rates = sorted({outcome.default_lr for outcome in found if outcome.default_lr is not None})
    return (
        f"Untuned: the default rate of {counted(len(found), 'cell')} ({', '.join(f'{rate:g}' for rate in rates)}) is "
        "not one that a published search chose for the method. Search optimizer.lr before they are compared."
    )


def _short(keys: Sequence[str]) -> list[str]:
    """Return the last part of each dotted key where that is clear."""
    last = [key.rpartition(".")[2] for key in keys]
    return [part if last.count(part) == 1 else key for key, part in zip(keys, last, strict=True)]


def selected(metrics: Mapping[str, float], selected_by: str | None = None) -> str | None:
    """Return the metric by which a run's epoch was selected, without its split; None where there is none.

    selected_by: what its record says of that, such as `val/loss`; None (records of before it was noted) is its task's.
    """
    if selected_by in metrics:
        return str(selected_by).removeprefix("val/")
    if f"val/{_OF_RECONSTRUCTION}" in metrics:
        return "loss"
    return next((name for name in SELECTED if name != "loss" and f"val/{name}" in metrics), None)


def ranked(numbered: Sequence[tuple[int, Cell]]) -> list[tuple[int, Cell]]:
    """Return cells by their task's metric on the validation split, the best first; those without one come last."""
    return sorted(numbered, key=lambda item: _rank(item[1]))


def _selected(cell: Cell) -> str | None:
    return selected(cell.outcome.metrics, cell.outcome.selected_by) if cell.outcome else None


def _rank(cell: Cell) -> tuple[int, str, float]:
    name = _selected(cell)
    value = math.nan if name is None or cell.outcome is None else cell.outcome.metrics[f"val/{name}"]
    if name is None or math.isnan(value):
        return len(SELECTED) + 1, "", 0.0
    place = SELECTED.index(name) if name in SELECTED else len(SELECTED)
    return place, name, value if better(name) == "lower" else -value


def _score(cell: Cell, split: str, name: str | None, *, bare: bool) -> str:
    value = cell.outcome.metrics.get(f"{split}/{name}", math.nan) if cell.outcome else math.nan
    if math.isnan(value):
        return "-"
    number = f"{value:.4g}" if name == "RMSE" else f"{value:.4f}"  # an error may be of any size, a share is below 1
    return number if bare else f"{number} {name}"


def counts(cells: Sequence[Cell], total: int) -> str:
    """Return how many of a sweep's `total` cells are in which state."""
    states = [cell.status for cell in cells] + ["not run"] * (total - len(cells))
    order = (
        "done", "finished already", "computed elsewhere", "pruned", "failed", "unreadable", "refused", "running",
        "interrupted", "waiting", "not run",
    )  # fmt: skip
    found = [f"{states.count(state)} {state}" for state in order if state in states]
    return f"{total} cell{'s' if total != 1 else ''}: {', '.join(found)}"
