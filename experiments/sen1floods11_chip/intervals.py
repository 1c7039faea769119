"""Compare the selected network with the best baseline, from what both have counted on each test tile.

    python experiments/sen1floods11_chip/intervals.py

Reads test_tiles.csv and writes intervals.csv, both beside this file. A second.
"""

import csv
from pathlib import Path

import numpy as np

from geocompose.statistics.blocks import likeness, spatial_blocks
from geocompose.statistics.crossed import crossed, shift_of
from geocompose.statistics.intervals import Estimate, difference, estimate
from geocompose.statistics.pooled import Score

HERE = Path(__file__).resolve().parent
TILE_PX, FIRST_COLUMN = 64, 384
MIOU = Score("mIoU", ("not_water", "water"))
# Tiles per block, rows and columns: all that leave two blocks or more.
BLOCKS = ((1, 1), (1, 2), (2, 1), (2, 2), (4, 2))


def read() -> tuple[np.ndarray, np.ndarray, list[int], list[int]]:
    """Return counts of the network (seeds, tiles, 2, 2) and the baseline (tiles, 2, 2), and where the tiles lie."""
    with (HERE / "test_tiles.csv").open() as file:
        rows = list(csv.DictReader(file))
    counts = {}
    for row in rows:
        counts.setdefault(row["seed"], []).append([int(value) for value in list(row.values())[4:]])
    by_seed = {seed: np.array(tiles).reshape(-1, 2, 2) for seed, tiles in counts.items()}
    first = [row for row in rows if row["seed"] == ""]
    places = (
        [int(row["row"]) // TILE_PX for row in first],
        [(int(row["column"]) - FIRST_COLUMN) // TILE_PX for row in first],
    )
    return np.stack([by_seed[seed] for seed in sorted(by_seed) if seed]), by_seed[""], *places


def parts(network: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Return each tile's part of the difference: how much lower it is without the tile."""
    cells = [counts.reshape(*counts.shape[:2], -1).astype(float) for counts in (network, baseline[None])]
    score_of = MIOU.of(cells[1][0].sum(axis=0))
    return -shift_of([crossed(cell, score_of) for cell in cells])


def main() -> None:
    network, baseline, rows, columns = read()
    part = parts(network, baseline)
    found: list[tuple[str, str, Estimate, float]] = []
    for height, width in BLOCKS:
        blocks = spatial_blocks(rows, columns, (height, width))
        places = {
            block: (row // height, column // width) for block, row, column in zip(blocks, rows, columns, strict=True)
        }
        sums = [sum(p for p, of in zip(part, blocks, strict=True) if of == block) for block in places]
        alike = likeness(sums, *(list(axis) for axis in zip(*places.values(), strict=True))).correlation
        name = f"{height} x {width}"
        found += [
            ("network", name, estimate(network, blocks, MIOU), alike),
            ("baseline", name, estimate(baseline, blocks, MIOU), alike),
            ("network - baseline", name, difference(network, baseline, blocks, MIOU), alike),
        ]
    with (HERE / "intervals.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["what", "mIoU", "on_these_tiles", "tiles_per_block", "blocks", "neighbours_alike", "new_ground"]
        )
        for what, name, one, alike in found:
            row = [what, f"{one.mean:.4f}", one.on_these_tiles, name, one.clusters, f"{alike:.2f}", one.interval]
            writer.writerow(row)
            print(*row, sep=" | ")


if __name__ == "__main__":
    main()
