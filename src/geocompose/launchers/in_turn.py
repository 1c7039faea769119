"""A sweep's cells computed one after the other in this process. Free of torch."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from geocompose.configuration.overrides import key_and_value, swept_keys
from geocompose.console import console
from geocompose.errors import in_one_line
from geocompose.runs import RunHeldError
from geocompose.studies.cells import Cell, Outcome
from geocompose.studies.closing_table import closing_table, counts, mixed_rates, other_code


@dataclass
class Jobs:
    """What Hydra calls with each composed configuration; a failure is reported and remembered, and the next one runs.

    act: does what a configuration says, and returns an Outcome where it was a run. report: prints an error.
    overrides: the whole command line's, where Hydra itself is told less of it (`own_overrides`).
    composing: the overrides of the cell that a sweep tries to compose, before anything runs.
    planned: every cell's overrides once a sweep knows them; None where there is no sweep.
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
        except RunHeldError as error:
            self.report(error)
            # Of two sweeps at once, each goes on with what the other one has not begun.
            cell.status, cell.reason = "failed" if self.planned is None else "computed elsewhere", in_one_line(error)
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
        """Print a sweep's table, why cells failed, and how many are in which state; nothing for a single run."""
        if self.planned is None:
            return
        out = console()
        out.print()
        if self.cells:
            out.print(closing_table(self.cells, self._keys))
            line = other_code(self.cells)
            if line:
                out.print(line)
        reasons = dict.fromkeys(cell.reason for cell in self.cells if cell.status == "failed")
        for reason in reasons:
            out.print(f"failed: {reason}")
            for number, cell in enumerate(self.cells, 1):
                if cell.status == "failed" and cell.reason == reason:
                    out.print(f"  {number}: {self.varied(cell.overrides) or ' '.join(cell.overrides)}")
        out.print(counts(self.cells, len(self.planned)))
        if any(cell.status == "computed elsewhere" for cell in self.cells):
            out.print("Other processes compute the rest. Run the same command again when they have finished.")
        told = mixed_rates(self.cells)
        if told:
            out.print(told)
        ended = [cell for cell in self.cells if cell.status in ("done", "finished already")]
        # Other actions than runs begin anew.
        if any(cell.status == "interrupted" for cell in self.cells) and all(cell.outcome for cell in ended):
            out.print("Run the same command again to compute what is missing.")

    def varied(self, overrides: Sequence[str]) -> str:
        """Return what tells a cell from the others of its sweep; "" where it is the only one."""
        return " ".join(text for text in overrides if key_and_value(text)[0] in self._keys)

    @cached_property
    def _keys(self) -> list[str]:
        return swept_keys(self.planned or [])

    def _announce(self, cell: Cell, total: int) -> None:
        title = f"{len(self.cells)} of {total}: {self.varied(cell.overrides) or ' '.join(cell.overrides)}"
        out = console()
        # Written, not ruled: a rule would cut what makes the cell.
        out.print(f"\n── {title} {'─' * max(0, min(out.width, 80) - len(title) - 4)}")
