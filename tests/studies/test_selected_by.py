"""Cells are ranked by the metric that chose their epochs, also where that is not their task's own."""

from pathlib import Path

import pytest

from geocompose.studies.cells import Cell, Outcome
from geocompose.studies.closing_table import closing_table, ranked, selected


def cell(selected_by: str | None, **metrics: float) -> Cell:
    told = {f"val/{name}": value for name, value in metrics.items()}
    return Cell(["seed=0"], "done", Outcome(Path("a"), told, 1.0, computed=True, selected_by=selected_by))


@pytest.mark.parametrize(("metric", "best"), [(None, "a"), ("val/mIoU_all", "b"), ("val/loss", "c")])
def test_the_table_and_its_order_follow_what_chose_the_epoch(metric, best):
    cells = {
        "a": cell(metric, mIoU=0.9, mIoU_all=0.2, loss=0.5),
        "b": cell(metric, mIoU=0.8, mIoU_all=0.3, loss=0.4),
        "c": cell(metric, mIoU=0.7, mIoU_all=0.1, loss=0.3),
    }
    (_, first), *_ = ranked(list(enumerate(cells.values())))
    assert first is cells[best]
    name = (metric or "val/mIoU").removeprefix("val/")
    assert closing_table([first], []).title == f"sweep; val and test are {name}"


def test_a_metric_that_a_run_does_not_have_is_not_what_chose_its_epoch():
    assert selected({"val/mIoU": 0.5}, "val/mIoU_all") == "mIoU"
