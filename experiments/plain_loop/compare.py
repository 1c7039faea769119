"""Put our runs beside those of the plain loop, and test whether they score alike.

    python experiments/plain_loop/compare.py outputs/plain_loop [MORE STUDIES]

Adds our runs' scores to results.csv, where plain_loop.py has written its own, and writes results.json beside it.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from plain_loop import COLUMNS
from scipy import stats

from geocompose.runs import list_runs

HERE = Path(__file__).resolve().parent
MODELS = {"resnet18": "resnet18_unet", "vit": "vit_tiny_upernet"}  # by how a run's folder begins
MARGIN = 0.01  # of mIoU
SPREAD = 1.5  # times that of the plain loop


def rows_of(study: Path, variant: str) -> list[dict[str, Any]]:
    """Return a row per completed run of a study."""
    rows = []
    for run in list_runs(study):
        if run.status() != "completed":
            continue
        record = run.read()
        rows.append(
            {
                "loop": "geocompose",
                "model": MODELS[run.path.name.partition("-")[0]],
                "variant": variant,
                "seed": record.seeds["seed"],
                "val_mIoU": f"{record.metrics['val/mIoU']:.4f}",
                "test_mIoU": f"{record.metrics['test/mIoU']:.4f}",
                "best_epoch": record.training["best_epoch"],
                "seconds": f"{record.seconds:.1f}",
            }
        )
    return sorted(rows, key=lambda row: (row["model"], row["seed"]))


def alike(ours: np.ndarray, plain: np.ndarray) -> dict[str, Any]:
    """Return the difference of means with its 90 % interval (Welch), the larger p of two one-sided tests, and spreads.

    The interval lies within the margin exactly where both tests reject at 0.05 that the difference is outside.
    """
    a, b = ours.var(ddof=1) / len(ours), plain.var(ddof=1) / len(plain)
    error = float(np.sqrt(a + b))
    freedom = (a + b) ** 2 / (a**2 / (len(ours) - 1) + b**2 / (len(plain) - 1))
    difference = float(ours.mean() - plain.mean())
    half = float(stats.t.ppf(0.95, freedom)) * error
    p = max(stats.t.sf((difference + MARGIN) / error, freedom), stats.t.cdf((difference - MARGIN) / error, freedom))
    ratio = float(ours.std(ddof=1) / plain.std(ddof=1))
    return {
        "seeds": [len(ours), len(plain)],
        "ours": [round(float(ours.mean()), 4), round(float(ours.std(ddof=1)), 4)],
        "plain": [round(float(plain.mean()), 4), round(float(plain.std(ddof=1)), 4)],
        "difference": round(difference, 4),
        "interval_90_percent": [round(difference - half, 4), round(difference + half, 4)],
        "p_of_two_one_sided_tests": round(float(p), 4),
        "means_within_0.01": bool(p < 0.05),
        "ratio_of_spreads": round(ratio, 2),
        "spread_within_1.5": bool(ratio <= SPREAD),
    }


def main() -> None:
    """Gather the runs, compare them and write both files."""
    studies = [Path(text) for text in sys.argv[1:] or ["outputs/plain_loop"]]
    table = HERE / "results.csv"
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["loop"], row["variant"]) != ("geocompose", "as_it_comes")]
    rows += [row for study in studies for row in rows_of(study, "as_it_comes")]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

    def scores(loop: str, model: str, variant: str = "as_it_comes", below: int = 1000) -> np.ndarray:
        wanted = (loop, model, variant)
        chosen = [row for row in rows if (row["loop"], row["model"], row["variant"]) == wanted]
        return np.array([float(row["test_mIoU"]) for row in chosen if int(row["seed"]) < below])

    found = {}
    for model in MODELS.values():
        for name, below in (("seeds 0 to 9", 10), ("all seeds", 1000)):
            ours, plain = (scores(loop, model, below=below) for loop in ("geocompose", "plain"))
            if min(len(ours), len(plain)) > 1:
                found[f"{model}, {name}"] = alike(ours, plain)
    (HERE / "results.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    for loop, model, variant in sorted({(row["loop"], row["model"], row["variant"]) for row in rows}):
        values = scores(loop, model, variant)
        spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""
        print(f"{loop:11} {model:17} {variant:21} {len(values):3} seeds  {values.mean():.4f}{spread}")


if __name__ == "__main__":
    main()
