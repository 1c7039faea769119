"""Write cells.csv, and print the tables of README.md, from the runs of the study.

    python experiments/peft_starts/table.py outputs/peft_starts

First it asks whether a start means anything: frozen from pretrained weights less frozen from random ones, with the
interval over seeds and test scenes. Where that interval is not above 0, no table of methods is printed for the start.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import yaml

from geocompose.statistics.intervals import Estimate, difference, estimate
from geocompose.statistics.pooled import Score
from geocompose.studies.costs import costs_of
from geocompose.studies.reading import Run, read_studies

HERE = Path(__file__).resolve().parent
CLASSES = ("lake", "river", "forest", "plantation", "fields", "village")
MIOU = Score("mIoU", CLASSES)
HEAD = (
    "method", "val mIoU", "test mIoU", "95 %", "less frozen", "learns %", "s per step", "MB", "best.ckpt MB", "rate",
)  # fmt: skip
STARTS = ("csmask", "tiny_mae")
Cells = dict[tuple[str, bool, str], list[Run]]  # by backbone, whether its start is pretrained, and method: its seeds


def cells_of(study: Path) -> Cells:
    """Return the finished runs of the study, cell by cell."""
    found: Cells = defaultdict(list)
    for run in sorted(read_studies([study]).runs.values(), key=lambda run: run.record.seeds["seed"]):
        if run.state == "done":
            pretrained = yaml.safe_load(run.folder.config.read_text())["backbone"]["ckpt_path"] is not None
            found[run.record.choices["backbone"], pretrained, run.record.choices["peft"]].append(run)
    return found


def counts_of(runs: Sequence[Run]) -> np.ndarray:
    """Return what each seed's model has counted on each test tile: (seeds, tiles, classes, classes)."""
    return np.stack([np.load(run.folder.path / "confusion.npz")["test"] for run in runs])


def scenes_of(run: Run) -> list[str]:
    """Return the scene of each test tile."""
    with (run.folder.path / "splits.csv").open() as file:
        return [row["scene"] for row in csv.DictReader(file) if row["split"] == "test"]


def less(first: Sequence[Run], second: Sequence[Run]) -> Estimate:
    """Return the first cell's test mIoU less the second's."""
    return difference(counts_of(first), counts_of(second), scenes_of(second[0]), MIOU)


def write_cells(cells: Cells) -> None:
    """Write a row for each run."""
    names = ("backbone", "pretrained", "peft", "seed", "lr", "best_epoch", "val/mIoU", "test/mIoU")
    costs = ("trainable_share", "step_s", "memory_mb", "result_bytes", "seconds")
    with (HERE / "cells.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*names, *costs])
        for (backbone, pretrained, method), runs in sorted(cells.items()):
            for run in runs:
                record, cost = run.record, costs_of(run.record)
                scores = [f"{record.metrics[name]:.4f}" for name in ("val/mIoU", "test/mIoU")]
                start = "yes" if pretrained else "no"
                table.writerow([
                    backbone, start, method, record.seeds["seed"], record.training["lr"]["rate"],
                    record.training["best_epoch"], *scores, f"{cost.trainable_share:.4f}", f"{cost.step_s:.3f}",
                    f"{cost.memory_mb:.0f}", cost.result_bytes, f"{record.seconds:.0f}",
                ])  # fmt: skip


def val_of(runs: Sequence[Run]) -> float:
    """Return a cell's mean val/mIoU, by which methods are ranked."""
    return fmean(run.record.metrics["val/mIoU"] for run in runs)


def row(method: str, runs: Sequence[Run], frozen: Sequence[Run]) -> str:
    """Return a method's row of the table."""
    one = estimate(counts_of(runs), scenes_of(runs[0]), MIOU)
    beyond = less(runs, frozen)
    gained = "" if runs is frozen else f"{beyond.mean:+.3f} ({beyond.interval})"
    costs = [costs_of(run.record) for run in runs]
    rate = runs[0].record.training["lr"]
    untuned = " (untuned)" if "untuned" in str(rate.get("source")) else ""
    return (
        f"| `{method}` | {val_of(runs):.3f} | {one.mean:.3f} | {one.interval} "
        f"| {gained} | {100 * fmean(cost.trainable_share for cost in costs):.1f} "
        f"| {fmean(cost.step_s for cost in costs):.2f} | {fmean(cost.memory_mb for cost in costs):.0f} "
        f"| {fmean(cost.result_bytes for cost in costs) / 1e6:.1f} | {rate['rate']:.2g}{untuned} |"
    )


def main(study: str) -> None:
    """Write the cells, and print the tables."""
    cells = cells_of(Path(study))
    write_cells(cells)
    for start in STARTS:
        print(f"\n{start}")
        for method in ("frozen", "none"):
            found = less(cells[start, True, method], cells[start, False, method])
            print(f"{method}: pretrained less random {found.mean:+.3f}, {found.interval}")
        interval = less(cells[start, True, "frozen"], cells[start, False, "frozen"]).interval
        if interval.low is None or interval.low <= 0:
            print("Frozen features of this start are not shown to beat random ones: no table of methods.")
            continue
        print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
        methods = {method: runs for (backbone, there, method), runs in cells.items() if there and backbone == start}
        for method in sorted(methods, key=lambda name: -val_of(methods[name])):
            print(row(method, methods[method], methods["frozen"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
