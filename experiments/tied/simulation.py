"""Draw studies of many cells with known truth, and count how often a cell as good as the best one is put out.

    python experiments/tied/simulation.py [draws]

Writes coverage.csv beside this file: a row per design. See README.md. The population is that of experiments/intervals.
"""

import csv
import itertools
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "intervals"))

from population import ALIKE, INTERACTION, Design, counts, field, normal, scores, skewed_sizes  # noqa: E402

from geocompose.statistics.comparing import SEEDS_FOR_DIFFERENCE, limits, simultaneous  # noqa: E402
from geocompose.statistics.crossed import crossed, half_width, parts_of, quantile, too_few  # noqa: E402

SCORES = ("mIoU", "IoU_rare")
WAYS = ("chosen", "each pair's own variance", "two by two")
WORSE = 0.25  # logits by which the worse half of the cells misses more, where there is one
COLUMNS = (
    *("cells", "equal", "seeds", "clusters", "rho", "seed_sd", "score", "way"),
    *("answered", "put_out", "error", "members"),
)


class Study(NamedTuple):
    """equal: how many of the cells are as good as the best one; the others are worse by WORSE."""

    cells: int
    equal: int
    design: Design


def studies() -> Iterator[Study]:
    """Yield the designs of the table."""
    for cells, equal in ((4, 4), (12, 12), (12, 6)):
        for seeds, clusters in ((2, 20), (3, 8), (3, 20), (5, 5), (5, 8), (5, 20), (10, 20)):
            for rho, sd in ((0.0, 0.15), (0.7, 0.05)):
                yield Study(cells, equal, Design(seeds, skewed_sizes(clusters, 0.7), rho, sd))


def draw(study: Study, draws: int, random: np.random.Generator) -> list[np.ndarray]:
    """Return the counts of each cell in each draw, pooled by scene: (draws, seeds, scenes, 9)."""
    design, sizes = study.design, np.array(study.design.sizes)
    starts = np.cumsum(sizes) - sizes
    composition, difficulty = field(design, draws, 2, random), field(design, draws, 4, random)
    cells = []
    for cell in range(study.cells):
        seed = np.float32(design.seed_sd) * normal(random, draws, design.seeds, 1, 2)
        scene = np.repeat(normal(random, draws, design.seeds, len(sizes), 1), sizes, axis=2)
        tile = normal(random, draws, design.seeds, int(sizes.sum()), 1)
        shift = np.float32(WORSE if cell >= study.equal else 0.0)
        interaction = np.float32(INTERACTION * np.sqrt(0.5)) * (scene + tile) + shift
        own = field(design, draws, 4, random)
        hard = np.float32(np.sqrt(ALIKE)) * difficulty + np.float32(np.sqrt(1 - ALIKE)) * own
        tiles = counts(composition[:, None], hard[:, None], seed, interaction).reshape(draws, design.seeds, -1, 9)
        cells.append(np.add.reduceat(tiles, starts, axis=2).astype(np.float64))
    return cells


def simulate(study: Study, draws: int, random: np.random.Generator) -> Iterator[dict[str, object]]:
    """Yield a row per score and way: how often a cell as good as the best is put out, and how many are left."""
    found: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = {}
    answers: dict[str, list[np.ndarray]] = {}
    tiles = sum(study.design.sizes)
    at_once = max(1, int(2e7 / (study.cells * study.design.seeds * tiles * 9)))
    for first in range(0, draws, at_once):
        drawn = draw(study, min(at_once, draws - first), random)
        for name in SCORES:
            cells = [
                crossed(one, lambda at, name=name: scores(at.reshape(*at.shape[:-1], 3, 3))[name]) for one in drawn
            ]
            means = np.stack([cell.mean for cell in cells])
            out = {way: np.zeros(means.shape, dtype=bool) for way in WAYS}
            known = np.ones(means.shape[1], dtype=bool)
            pairs = list(itertools.combinations(range(study.cells), 2))
            parts = [parts_of([cells[a], cells[b]], difference_from=SEEDS_FOR_DIFFERENCE) for a, b in pairs]
            own = [half_width(each, 0.95, lambda level, df: simultaneous(level, df, study.cells)) for each in parts]
            each_way = {
                "chosen": limits(parts, 0.95, study.cells),
                "each pair's own variance": own,
                "two by two": [half_width(each, 0.95, quantile) for each in parts],
            }
            for place, (a, b) in enumerate(pairs):
                first = parts[place][0]
                known &= ~too_few(len(study.design.sizes), first.df) & np.isfinite(first.variance)
                difference = means[a] - means[b]
                for way, limit in each_way.items():
                    out[way][a] |= difference < -limit[place]
                    out[way][b] |= difference > limit[place]
            for way, gone in out.items():
                wrong = gone[: study.equal].any(axis=0)[known]
                found.setdefault((name, way), []).append((wrong, (~gone).sum(axis=0)[known]))
            answers.setdefault(name, []).append(known)
    design = study.design
    for (name, way), each in found.items():
        wrong, members = (np.concatenate(values) for values in zip(*each, strict=True))
        share = float(wrong.mean()) if len(wrong) else math.nan
        yield {
            "cells": study.cells, "equal": study.equal, "seeds": design.seeds, "clusters": len(design.sizes),
            "rho": design.rho, "seed_sd": design.seed_sd, "score": name, "way": way,
            "answered": f"{np.concatenate(answers[name]).mean():.4f}", "put_out": f"{share:.4f}",
            "error": f"{math.sqrt(share * (1 - share) / max(1, len(wrong))):.4f}",
            "members": f"{members.mean() if len(members) else math.nan:.2f}",
        }  # fmt: skip


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    np.seterr(invalid="ignore", divide="ignore")  # where a class is absent nothing is defined, and that is counted
    with (HERE / "coverage.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for number, study in enumerate(studies()):
            for row in simulate(study, draws, np.random.default_rng(number)):
                writer.writerow(row)
                print(*row.values(), flush=True)
            file.flush()


if __name__ == "__main__":
    main()
