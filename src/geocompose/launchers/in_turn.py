"""What Hydra calls with each composed configuration, one after the other in this process. Free of torch.

Sweeps of runs go another way: they are planned and computed by an engine (`geocompose.launchers.sweep`).
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from geocompose.configuration.checking import as_written
from geocompose.configuration.diagnosis import groups
from geocompose.configuration.overrides import key_and_value, swept_keys
from geocompose.console import console
from geocompose.errors import in_one_line
from geocompose.experiment import Action, understood
from geocompose.launchers import fork_server
from geocompose.launchers.planning import PlannedCell, Planner
from geocompose.launchers.runs import runs_of
from geocompose.launchers.sweep import PlannedSweep
from geocompose.runs import RunHeldError
from geocompose.studies.cells import Cell, Outcome
from geocompose.studies.closing import is_failed, show_closing


@dataclass
class Jobs:
    """What Hydra calls with each composed configuration; a failure is reported and remembered, and the next one runs.

    act: does what a configuration says, and returns an Outcome where it was a run. report: prints an error.
    overrides: the whole command line's, where Hydra itself is told less of it (`own_overrides`).
    composing: the overrides of the cell that a sweep tries to compose, before anything runs.
    planned: every cell's overrides once a sweep knows them; None where there is no sweep. base: of an ablation, the
        first value of each key that its cells change alone.
    conf_dir: where the configuration lies; None: a sweep of runs is done in turn too. command: the program's arguments
        as they were typed, which records quote.
    """

    act: Callable[[DictConfig], object]
    report: Callable[[BaseException], None]
    overrides: list[str] | None = None
    composing: list[str] = field(default_factory=list)
    planned: list[list[str]] | None = None
    base: dict[str, str] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    conf_dir: Path | None = None
    command: list[str] = field(default_factory=list)
    planner: Planner = field(default_factory=Planner)
    sweep: PlannedSweep | None = None
    loading: bool = False  # the process that tries compositions has been started

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
        """Whether any configuration failed, or could not be computed where it had to be."""
        return is_failed(self.cells, strict=self.sweep is not None and self.sweep.strict)

    def is_run(self, composed: DictConfig) -> bool:
        """Return whether a configuration, with Hydra's own part, asks for an action that computes runs."""
        target = OmegaConf.select(composed, "action._target_")
        return self.conf_dir is not None and isinstance(target, str) and runs_of(Action(target).function) is not None

    def planned_cell(self, composed: DictConfig, overrides: Sequence[str]) -> PlannedCell:
        """Return the cell of a configuration of a run, with Hydra's own part; an error in it is the cell's."""
        conf_dir = self.conf_dir
        assert conf_dir is not None
        own: DictConfig = composed.hydra
        hydra = composed._get_node("hydra")
        with open_dict(composed):
            del composed["hydra"]
        written = as_written(composed)
        # A value that is taken from Hydra's own part needs it; copying that takes half the time of all the rest.
        if "${hydra:" in str(written):
            with open_dict(composed):
                composed["hydra"] = hydra
            HydraConfig.instance().set_config(composed)
            with open_dict(composed):
                del composed["hydra"]
        cell = self.planner.cell(lambda: understood(composed, conf_dir, self._groups, own, written), overrides)
        if not self.loading and cell.folder is not None and not cell.folder.record.exists():
            # Its composition will be tried: the libraries load beside the composing of the cells that follow.
            self.loading = True
            fork_server.context()
        return cell

    @cached_property
    def _groups(self) -> list[str]:
        assert self.conf_dir is not None
        return groups(self.conf_dir)

    def compute(self, cells: Sequence[PlannedCell]) -> None:
        """Compute the cells of a planned sweep; what became of them is read when it is shown.

        Raises:
            UserError, KeyboardInterrupt: see `PlannedSweep.run`.
        """
        for cell in cells:
            cell.title = self.varied(cell.overrides) or " ".join(cell.overrides)
        for error in {str(cell.error): cell.error for cell in cells if cell.error is not None}.values():
            self.report(error)  # one message, however many cells have it
        sys.argv[:] = self.command
        self.sweep = PlannedSweep(cells, self.command)
        self.sweep.run()

    def show(self) -> None:
        """Print a sweep's table, why cells failed, and how many are in which state; nothing for a single run."""
        if self.planned is None:
            return
        if self.sweep is not None:
            self.cells = self.sweep.results()
        show_closing(
            self.cells, self._keys, len(self.planned), self.varied,
            rank=self.sweep is not None, advice=None if self.sweep is None else self.sweep.advice, base=self.base,
        )  # fmt: skip
        if self.sweep is not None:
            self.sweep.write_tables()

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
