"""Draw studies with known truth, and count how often each way to make an interval covers it.

    python experiments/intervals/simulation.py [draws] [processes]

Writes coverage.csv beside this file: a row per design, score and way. See README.md. About 40 minutes on one core for
4,000 draws.
"""

import csv
import itertools
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from candidates import STUDENT, bootstrap, seeds_only
from population import BETTER, Design, draw, scores, skewed_sizes, truth

from geocompose.statistics.crossed import crossed

HERE = Path(__file__).resolve().parent
SCORES = ("mIoU", "IoU_rare", "accuracy_micro")
ORACLE = 1.959964  # the oracle's half width in units of the true standard error: it knows the variance components
FLOATS = 3e6  # of counts that are held at once
PLACE = ("family", "seeds", "clusters", "spread", "rho", "seed_sd")
RESULT = ("score", "way", "answered", "coverage", "error", "width")
RESAMPLED = 1000  # draws that bootstraps are tried on, at least


def designs() -> Iterator[tuple[str, int, float, Design]]:
    """Yield (family, clusters, spread of sizes, design)."""
    clusters = (1, 4, 5, 8, 12, 20, 40)
    for seeds, number, rho, sd in itertools.product((2, 3, 5, 10), clusters, (0.0, 0.35, 0.7), (0.05, 0.15)):
        yield "main", number, 0.7, Design(seeds, skewed_sizes(number, 0.7), rho, sd)
    for spread, seeds, number, rho in itertools.product((0.0, 1.2), (2, 3, 5, 10), (5, 8, 20, 40), (0.0, 0.7)):
        yield "other sizes", number, spread, Design(seeds, skewed_sizes(number, spread), rho, 0.1)
    for seeds, number, rho in itertools.product((2, 3, 5, 10), (5, 8, 12, 20, 40), (0.0, 0.7)):
        yield "patchy class", number, 0.7, Design(seeds, skewed_sizes(number, 0.7), rho, 0.1, patchy=True)
    for seeds, number, rho in itertools.product((2, 3, 5, 10), (5, 8, 20, 40), (0.0, 0.7)):
        yield "difference", number, 0.7, Design(seeds, skewed_sizes(number, 0.7), rho, 0.1, pair=True)
    for seeds, number, rho in itertools.product((3, 5), (8, 20, 40), (0.0, 0.7)):
        sizes = skewed_sizes(number, 0.7)
        yield "difference, patchy class", number, 0.7, Design(seeds, sizes, rho, 0.1, patchy=True, pair=True)
    for seeds, number, rho in itertools.product((2, 3, 4, 5, 10), (8, 20, 40), (0.0, 0.7)):
        yield "seeds differ much", number, 0.7, Design(seeds, skewed_sizes(number, 0.7), rho, 0.3)


def resampled(design: Design) -> bool:
    """Whether bootstraps are tried too: they take far longer than all the rest, so in part of the designs and draws."""
    return len(design.sizes) in (5, 20) and design.seeds in (3, 5) and design.rho != 0.35 and design.seed_sd == 0.05


def simulate(design: Design, draws: int, random: np.random.Generator) -> Iterator[dict[str, object]]:
    """Yield a row of results per score and way to make an interval."""
    sizes = np.array(design.sizes)
    starts = np.cumsum(sizes) - sizes
    at_once = max(1, int(FLOATS / (design.seeds * sizes.sum() * 9)))
    means: dict[str, list[np.ndarray]] = {name: [] for name in SCORES}
    found: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = {}
    for first in range(0, draws, at_once):
        cells = draw(design, min(at_once, draws - first), random)
        tiles = [cell.reshape(*cell.shape[:3], 9) for cell in cells]
        clusters = [np.add.reduceat(tile, starts, axis=2).astype(np.float64) for tile in tiles]
        for name in SCORES:
            both = [crossed(cluster, lambda counts, name=name: _score(counts, name)) for cluster in clusters]
            mean = both[0].mean - (both[1].mean if design.pair else 0)
            means[name].append(mean)
            for way, bounds_of in STUDENT.items():
                if len(sizes) > 1:
                    bounds = bounds_of(both)
                else:
                    bounds = seeds_only(both) if way == "seeds only" else (np.full(mean.shape, np.nan),) * 2
                found.setdefault((name, way), []).append(bounds)
        grouped = [cluster.astype(np.float32) for cluster in clusters]
        for way, counts, seeds in (
            ("bootstrap of tiles and seeds", tiles, True),
            ("bootstrap of clusters", grouped, False),
            ("pigeonhole bootstrap", grouped, True),
        )[: 3 * (resampled(design) and first < RESAMPLED)]:
            for name, bounds in bootstrap(counts, scores, random, seeds=seeds).items():
                found.setdefault((name, way), []).append(bounds)
    for (name, way), bounds in found.items():
        yield {"score": name, "way": way, **_summary(bounds, np.concatenate(means[name]), _truth(design, name))}


def _score(counts: np.ndarray, name: str) -> np.ndarray:
    return scores(counts.reshape(*counts.shape[:-1], 3, 3))[name]


def _truth(design: Design, name: str) -> float:
    first = truth(design.seed_sd, design.patchy)[name]
    return first - truth(design.seed_sd, design.patchy, BETTER)[name] if design.pair else first


def _summary(bounds: list[tuple[np.ndarray, np.ndarray]], means: np.ndarray, true: float) -> dict[str, object]:
    low, high = (np.concatenate(side) for side in zip(*bounds, strict=True))
    answered = np.isfinite(high - low)
    number = int(answered.sum())
    if number < 0.05 * len(low):  # what is said in so few studies can't be counted on
        return {"answered": number / len(low), "coverage": math.nan, "error": math.nan, "width": math.nan}
    coverage = float(((low <= true) & (true <= high))[answered].mean())
    width = float((high - low)[answered].mean() / (2 * ORACLE * np.nanstd(means)))
    error = math.sqrt(coverage * (1 - coverage) / number)
    return {"answered": number / len(low), "coverage": coverage, "error": error, "width": width}


def rows_of(job: tuple[int, int, tuple[str, int, float, Design]]) -> list[dict[str, object]]:
    """Return the rows of a design, by its number, for so many draws."""
    number, draws, (family, clusters, spread, design) = job
    # Where a class is absent, nothing is defined, and the package says so.
    np.seterr(invalid="ignore", divide="ignore")
    values = (family, design.seeds, clusters, spread, design.rho, design.seed_sd)
    place = dict(zip(PLACE, values, strict=True))
    found = simulate(design, draws, np.random.default_rng(number))
    return [place | {key: f"{v:.4f}" if isinstance(v, float) else v for key, v in row.items()} for row in found]


def main() -> None:
    draws, processes = (int(given) for given in (*sys.argv[1:], *("4000", "1")[len(sys.argv) - 1 :]))
    jobs = [(number, draws, each) for number, each in enumerate(designs())]
    for *_, design in designs():
        _truth(design, SCORES[0])  # kept for the processes, which fork from here
    with (HERE / "coverage.csv").open("w", newline="") as file, ProcessPoolExecutor(processes) as pool:
        writer = csv.DictWriter(file, (*PLACE, *RESULT), lineterminator="\n")
        writer.writeheader()
        for number, rows in enumerate(pool.map(rows_of, jobs), 1):
            writer.writerows(rows)
            file.flush()
            print(f"{number} of {len(jobs)}", flush=True)


if __name__ == "__main__":
    main()
