"""Select a composition by validation alone, then compare its test score with the best baseline without a network.

    python experiments/sen1floods11_chip/selection.py [outputs/sen1floods11_chip]

Writes results.csv and results.json beside this file. The rule is in README.md; it was committed before any test
score was seen.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geocompose.data.module import SceneData
from geocompose.data.preflight import data_source
from geocompose.runs import RunFolder, list_runs, load_rules, open_run
from geocompose.runs.trust import Trust
from geocompose.scores import confusion_matrix, from_confusion

HERE = Path(__file__).resolve().parent
CONF = HERE.parents[1] / "conf"
SEEDS = (0, 1, 2, 3, 4)
RESAMPLES = 10_000


def candidate(run: RunFolder) -> str:
    (option,) = (text for text in yaml.safe_load(run.overrides.read_text()) if text.startswith("experiment="))
    return option.rpartition("/")[2]


def load(study: Path) -> dict[str, dict[int, RunFolder]]:
    found: dict[str, dict[int, RunFolder]] = {}
    for run in list_runs(study):
        if run.status() == "completed":
            found.setdefault(candidate(run), {})[run.read().seeds["seed"]] = run
    for name, runs in found.items():
        if sorted(runs) != list(SEEDS):
            sys.exit(f"{name} has the seeds {sorted(runs)}, not {list(SEEDS)}: run the command in README.md first.")
    if not found:
        sys.exit(f"There are no completed runs in {study}: run the command in README.md first.")
    return found


def logistic_per_tile(run: RunFolder) -> np.ndarray:
    """Return the confusion matrix of each test tile, for per-pixel logistic regression on all 13 bands."""
    source = data_source(open_run(run.path, load_rules(CONF), Trust([CONF]), checkpoint=False).config["data"])
    assert source is not None, run.path
    data = SceneData(source, source.collection.band_names)
    data.setup()
    values, classes = data.pixels("train")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000, tol=1e-6))
    model.fit(values.astype(np.float64), classes)
    matrices = []
    for region in data.tile_windows("test"):
        scene = data.scenes[region.scene]
        image, valid = scene.read_image(region.window, data.places(data.bands)[region.scene])
        label = scene.read_label(region.window)
        counts = valid & (label != data.ignore_index)
        matrices.append(
            confusion_matrix(label[counts], model.predict(image[:, counts].T.astype(np.float64)), data.num_classes)
        )
    return np.stack(matrices)


def miou(matrix: np.ndarray) -> float:
    return from_confusion(matrix, ["not_water", "water"])["mIoU"]


def interval(network: np.ndarray, baseline: np.ndarray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of network minus baseline.

    network: (seeds, tiles, 2, 2). baseline: (tiles, 2, 2). Both are resampled by the same tiles.
    """
    random = np.random.default_rng(0)
    seeds, tiles = network.shape[:2]
    differences = []
    for _ in range(RESAMPLES):
        tile, seed = random.integers(tiles, size=tiles), random.integers(seeds, size=seeds)
        scores = [miou(network[s][tile].sum(axis=0)) for s in seed]
        differences.append(np.mean(scores) - miou(baseline[tile].sum(axis=0)))
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    study = Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/sen1floods11_chip")
    found = load(study)
    rows = []
    for name, runs in found.items():
        metrics = [runs[seed].read().metrics for seed in SEEDS]
        val, test = ([m[f"{split}/mIoU"] for m in metrics] for split in ("val", "test"))
        seconds = np.mean([runs[seed].read().seconds for seed in SEEDS])
        rows.append((name, np.mean(val), np.std(val, ddof=1), np.mean(test), np.std(test, ddof=1), seconds))
    rows.sort(key=lambda row: -row[1])
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["candidate", "val_mIoU_mean", "val_mIoU_sd", "test_mIoU_mean", "test_mIoU_sd", "seconds_a_run"]
        )
        writer.writerows([(name, *(f"{number:.4f}" for number in numbers)) for name, *numbers in rows])

    chosen = rows[0][0]
    runs = found[chosen]
    network = np.stack([np.load(runs[seed].confusion)["test"] for seed in SEEDS])
    baseline = logistic_per_tile(runs[0])
    recorded = {b["name"]: b["metrics"]["mIoU"] for b in runs[0].read().baselines}
    best = max(recorded, key=lambda name: recorded[name])
    assert best == "logistic", recorded
    # The recorded fits stopped at a looser tolerance.
    assert abs(recorded[best] - miou(baseline.sum(axis=0))) < 1e-3, "the baseline is not the recorded one"
    low, high = interval(network, baseline)
    verdict = "beats the baseline" if low > 0 else "is below the baseline" if high < 0 else "ties with the baseline"
    result = {
        "selected_by_validation": chosen,
        "test_mIoU": [round(miou(matrices.sum(axis=0)), 4) for matrices in network],
        "test_mIoU_mean": round(float(rows[0][3]), 4),
        "best_baseline": "logistic, 13 bands",
        "baselines_mIoU": {name: round(value, 4) for name, value in recorded.items()},
        "difference_95_percent": [round(low, 4), round(high, 4)],
        "verdict": verdict,
    }
    (HERE / "results.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
