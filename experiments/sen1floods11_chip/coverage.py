"""How often the first study's bootstrap interval holds, where tiles are as alike as on this chip.

    python experiments/sen1floods11_chip/coverage.py

16 tiles in 8 rows and 2 columns, 5 seeds. The difference of a tile is normal, with correlation r ** (rows + columns
between them); the seeds add a part of a hundredth of the variance, as here. The target is a new seed on new ground.
Prints the coverage of the bootstrap (tiles and seeds resampled one by one) and its Monte Carlo error. 20 seconds.
"""

import numpy as np

DRAWS, RESAMPLES, SEEDS = 4000, 400, 5
ROW, COLUMN = (axis.ravel() for axis in np.mgrid[:8, :2])
DISTANCE = abs(ROW[:, None] - ROW) + abs(COLUMN[:, None] - COLUMN)


def coverage(neighbours: float) -> float:
    random = np.random.default_rng(0)
    root = np.linalg.cholesky(neighbours**DISTANCE)
    held = 0
    for _ in range(DRAWS):
        tiles = root @ random.standard_normal(16) + 0.1 * random.standard_normal((SEEDS, 1))
        chosen = random.multinomial(16, np.full(16, 1 / 16), RESAMPLES) / 16
        seeds = random.multinomial(SEEDS, np.full(SEEDS, 1 / SEEDS), RESAMPLES) / SEEDS
        means = np.einsum("bt,st,bs->b", chosen, tiles, seeds, optimize=True)
        low, high = np.quantile(means, [0.025, 0.975])
        held += low <= 0 <= high
    return held / DRAWS


if __name__ == "__main__":
    for neighbours in (0.0, 0.54, 0.62, 0.75):
        held = coverage(neighbours)
        print(f"neighbours correlate {neighbours}: {held:.3f} +- {1.96 * np.sqrt(held * (1 - held) / DRAWS):.3f}")
