"""A sweep from its command line to its closing table: what each cell was and what became of it. Free of torch."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table

from geocompose.console import console

# What runs are selected by: the first of these among a run's metrics is its task's.
SELECTED = ("mIoU", "F1_macro", "RMSE")
_LONGEST_SHOWN = 24


@dataclass(frozen=True)
class Outcome:
    """What an action hands back of a run: its folder, its metrics by name, its computing time, and whether it ran now."""

    folder: Path
    metrics: Mapping[str, float]
    seconds: float
    computed: bool


@dataclass
class Cell:
    """One composed configuration: its overrides, what became of it, and why where it failed."""

    overrides: list[str]
    status: Literal["interrupted", "done", "finished already", "failed"] = "interrupted"
    outcome: Outcome | None = None
    seconds: float = 0.0
    reason: str = ""


@dataclass
class Jobs:
    """What Hydra calls with each composed configuration; a failure is reported and remembered, and the next one runs.

    act: does what a configuration says, and returns an Outcome where it was a run. report: prints an error.
    overrides: the whole command line's, where Hydra itself is told less of it (`own_overrides`).
    composing: the overrides of the cell that a sweep tries to compose, before anything runs.
    planned: every cell's overrides once a sweep knows them; None where it is no sweep.
    """

    act: Callable[[DictConfig], object]
    report: Callable[[BaseException], None]
    overrides: list[str] | None = None
    composing: list[str] = field(default_factory=list)
    planned: list[list[str]] | None = None
    cells: list[Cell] = field(default_factory=list)

    def __call__(self, composed: DictConfig) -> None:
        """Run one configuration."""
        cell = Cell(list(HydraConfig.get().overrides.task))
        self.cells.append(cell)
        if self.planned is not None:
            self._announce(cell, len(self.planned))
        began = time.monotonic()
        try:
            result = self.act(composed)
        except Exception as error:  # noqa: BLE001 - the top of a run: everything becomes one message; a sweep goes on
            cell.status, cell.reason = "failed", in_one_line(error)
            self.report(error)
        else:
            cell.outcome = result if isinstance(result, Outcome) else None
            cell.status = "done" if cell.outcome is None or cell.outcome.computed else "finished already"
        finally:
            cell.seconds = time.monotonic() - began

    @property
    def failed(self) -> bool:
        """Whether any configuration failed."""
        return any(cell.status == "failed" for cell in self.cells)

    def show(self) -> None:
        """Print a sweep's table, why cells failed, and how many there are of each kind; nothing where it was no sweep."""
        if self.planned is None:
            return
        out = console()
        out.print()
        if self.cells:
            out.print(_table(self.cells, self._keys))
        reasons = dict.fromkeys(cell.reason for cell in self.cells if cell.status == "failed")
        for reason in reasons:
            out.print(f"failed: {escape(reason)}")
            for number, cell in enumerate(self.cells, 1):
                if cell.status == "failed" and cell.reason == reason:
                    out.print(f"  {number}: {escape(self.varied(cell.overrides) or ' '.join(cell.overrides))}")
        out.print(_counts(self.cells, len(self.planned)))
        ended = [cell for cell in self.cells if cell.status in ("done", "finished already")]
        # Other actions than runs begin anew.
        if any(cell.status == "interrupted" for cell in self.cells) and all(cell.outcome for cell in ended):
            out.print("The same command goes on with what is missing.")

    def varied(self, overrides: Sequence[str]) -> str:
        """Return what tells a cell from the others of its sweep; "" where it is the only one."""
        return " ".join(text for text in overrides if _split(text)[0] in self._keys)

    @cached_property
    def _keys(self) -> list[str]:
        return swept_keys(self.planned or [])

    def _announce(self, cell: Cell, total: int) -> None:
        title = f"{len(self.cells)} of {total}: {self.varied(cell.overrides) or ' '.join(cell.overrides)}"
        out = console()
        # Written, not ruled: a rule would cut what makes the cell.
        out.print(f"\n── {escape(title)} {'─' * max(0, min(out.width, 80) - len(title) - 4)}")


def swept_keys(cells: Sequence[Sequence[str]]) -> list[str]:
    """Return the keys that have not the same value in all cells, in the order of the command line."""
    values = [dict(map(_split, overrides)) for overrides in cells]
    keys = dict.fromkeys(key for found in values for key in found)
    return [key for key in keys if len({found.get(key) for found in values}) > 1]


def own_overrides(overrides: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Return what Hydra needs of a sweep's overrides for the sweep's own configuration: options of groups, and its own.

    Hydra composes that configuration without what is swept, where `data.root=DIR` may have no place yet because the
    option that it belongs to is swept over. Values are for the cells alone.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException:
        return list(overrides)  # Hydra says what is wrong with them
    kept = [one for one in parsed if one.is_hydra_override() or one.key_or_group in groups]
    return [one.input_line for one in kept if one.input_line is not None]


def in_one_line(error: BaseException) -> str:
    """Return what an error says, and of which type it is where nobody wrote it for a reader."""
    said = next(iter(str(error).strip().splitlines()), "")
    return said if isinstance(error, ValueError) and said else f"{type(error).__name__}: {said}"


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key.lstrip("+"), value


def _table(cells: Sequence[Cell], keys: Sequence[str]) -> Table:
    named = [_selected(cell) for cell in cells]
    names = {name for name in named if name}
    shared = next(iter(names)) if len(names) == 1 else None
    splits = ("val", "test") if names else ()
    # Narrow, for terminals of 80 columns: the metric stands in the title, and long values are cut (each cell's head
    # has them whole).
    table = Table(title=f"sweep; val and test are {shared}" if shared else "sweep", title_justify="left")
    table.add_column("#", justify="right", no_wrap=True)
    for name in _short(keys):
        table.add_column(escape(name), overflow="fold")
    table.add_column("status", no_wrap=True)
    for split in splits:
        table.add_column(split, justify="right", no_wrap=shared is not None)
    table.add_column("s", justify="right", no_wrap=True)
    for number, (cell, selected) in enumerate(zip(cells, named, strict=True), 1):
        values = dict(map(_split, cell.overrides))
        swept = [escape(_cut(values.get(key, "-"))) for key in keys]
        scores = [_score(cell, split, selected, bare=shared is not None) for split in splits]
        seconds = cell.outcome.seconds if cell.outcome else cell.seconds
        table.add_row(str(number), *swept, cell.status.replace(" ", "\n"), *scores, f"{seconds:.0f}")
    return table


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST_SHOWN else f"{value[: _LONGEST_SHOWN - 1]}…"


def _short(keys: Sequence[str]) -> list[str]:
    """Return the last part of each dotted key where that is clear."""
    last = [key.rpartition(".")[2] for key in keys]
    return [part if last.count(part) == 1 else key for key, part in zip(keys, last, strict=True)]


def _selected(cell: Cell) -> str | None:
    metrics = cell.outcome.metrics if cell.outcome else {}
    return next((name for name in SELECTED if f"val/{name}" in metrics), None)


def _score(cell: Cell, split: str, name: str | None, *, bare: bool) -> str:
    value = cell.outcome.metrics.get(f"{split}/{name}", math.nan) if cell.outcome else math.nan
    if math.isnan(value):
        return "-"
    number = f"{value:.4g}" if name == "RMSE" else f"{value:.4f}"  # an error may be of any size, a share is below 1
    return number if bare else f"{number} {name}"


def _counts(cells: Sequence[Cell], total: int) -> str:
    states = [cell.status for cell in cells] + ["not run"] * (total - len(cells))
    order = ("done", "finished already", "failed", "interrupted", "not run")
    counts = [f"{states.count(state)} {state}" for state in order if state in states]
    return f"{total} cell{'s' if total != 1 else ''}: {', '.join(counts)}"
