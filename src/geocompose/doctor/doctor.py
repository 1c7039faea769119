"""Cells examined one after the other: each becomes a row of the doctor's table."""

import time
import warnings

from geocompose.cost.examination import examine
from geocompose.doctor.cells import Cells
from geocompose.doctor.kept import KeptBackbones
from geocompose.doctor.row import UNEXPECTED, Row, necks_as_written
from geocompose.errors import UserError, quiet, unwrapped


class Doctor:
    """Examines cells one after the other; keeps the backbones that it has met."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells
        self._kept = KeptBackbones()

    def rows(self, pair: tuple[str, str]) -> list[Row]:
        """Return the rows of a backbone with a decoder: one for each task."""
        return [self._row(*pair, task) for task in self.cells.bases]

    def _row(self, backbone: str, decoder: str, task: str) -> Row:
        start = time.perf_counter()
        try:
            # Nothing is built for real: messages about weights would mislead.
            with quiet(), warnings.catch_warnings(action="ignore"):
                config = self.cells.config(backbone, decoder, task)
                found = examine(config, self.cells.bases[task].preview, self._kept.keeping)
        except UserError as error:
            return Row(backbone, decoder, task, "refused", unwrapped(error), seconds=_since(start))
        except Exception as error:  # noqa: BLE001 - one broken cell must not hide the others; it is counted apart
            reason = f"{UNEXPECTED}{type(error).__name__}: {unwrapped(error)}"
            return Row(backbone, decoder, task, "refused", reason, seconds=_since(start))
        return Row(
            backbone,
            decoder,
            task,
            "ok",
            necks=necks_as_written(found.trial.plan.necks),
            parameters=found.parameters,
            trainable=found.trainable,
            gflops=round(found.gflops, 3),
            training_memory_mb=found.memory.total_mb,
            seconds=_since(start),
        )


def _since(start: float) -> float:
    return round(time.perf_counter() - start, 3)
