"""Ways to make an interval that were compared; the package has the last one alone."""

from collections.abc import Callable, Iterable

import numpy as np

from geocompose.statistics.crossed import (
    Crossed,
    Part,
    half_width,
    interaction,
    limits,
    parts_of,
    quantile,
    seeds_part,
    shift_of,
    too_few,
)

LEVEL = 0.95
RESAMPLES = 200
Cells = list[Crossed]
Bounds = tuple[np.ndarray, np.ndarray]


def around(cells: Cells, half: np.ndarray) -> Bounds:
    mean = cells[0].mean - (cells[1].mean if len(cells) == 2 else 0)
    return mean - half, mean + half


def satterthwaite(parts: Iterable[Part], lost: np.ndarray | float = 0.0) -> np.ndarray:
    """Return the half width of parts of a variance, less what they hold in common."""
    whole = sum(part.variance for part in parts)
    variance = np.maximum(whole - lost, np.max([part.variance for part in parts], axis=0))
    return quantile(LEVEL, whole**2 / sum(part.variance**2 / part.df for part in parts)) * np.sqrt(variance)


def seeds_only(cells: Cells) -> Bounds:
    """Mean +- t s / sqrt(S), the usual +- of tables: test tiles are taken for the world."""
    return around(cells, half_width([seeds_part(cell) for cell in cells], LEVEL))


def two_way_t(cells: Cells) -> Bounds:
    """Classical two-way components: A + B - I with equal weights and Satterthwaite's rule at S - 1 and G - 1."""
    clusters = cells[0].pull.shape[-1]
    equal = np.full(cells[0].pull.shape, 1 / clusters)
    parts = [Part(((1 - equal) * shift_of(cells) ** 2).sum(-1), clusters - 1), *map(seeds_part, cells)]
    return around(cells, satterthwaite(parts, sum(interaction(cell, equal) for cell in cells)))


def bell_mccaffrey(cells: Cells) -> Bounds:
    """A + B with CR2's weights and Bell and McCaffrey's degrees of freedom (clusters that vary alike)."""
    return around(cells, satterthwaite([*parts_of(cells, "clusters", growth=2.0), *map(seeds_part, cells)]))


def banerjee(cells: Cells) -> Bounds:
    """Root of the summed squares of each part's own interval (Banerjee 1960): never too narrow."""
    parts = [*parts_of(cells, "clusters"), *map(seeds_part, cells)]
    return around(cells, np.sqrt(sum(quantile(LEVEL, part.df) ** 2 * part.variance for part in parts)))


def symmetric(cells: Cells) -> Bounds:
    """The package's, but symmetric: without the logit scale."""
    return _where_enough(cells, around(cells, half_width(parts_of(cells), LEVEL)))


def chosen(cells: Cells) -> Bounds:
    """The package's; NaN where it says "too few"."""
    return _where_enough(cells, limits(cells, LEVEL, "share"))


def _where_enough(cells: Cells, bounds: Bounds) -> Bounds:
    few = too_few(cells[0].pull.shape[-1], parts_of(cells, "clusters")[0].df)
    return np.where(few, np.nan, bounds[0]), np.where(few, np.nan, bounds[1])


STUDENT: dict[str, Callable[[Cells], Bounds]] = {
    "seeds only": seeds_only,
    "two-way t, G - 1": two_way_t,
    "jackknife CR2, A + B": bell_mccaffrey,
    "jackknife, Banerjee": banerjee,
    "chosen, but symmetric": symmetric,
    "chosen": chosen,
}


def bootstrap(
    counts: list[np.ndarray],
    scores: Callable[[np.ndarray], dict[str, np.ndarray]],
    random: np.random.Generator,
    *,
    seeds: bool,
) -> dict[str, Bounds]:
    """Return percentile bounds by score; units (tiles or clusters) are resampled, and seeds too where asked.

    counts: of each cell, (draws, S, units, 9), float32.
    """
    draws, num_seeds, units, cells = counts[0].shape
    weights = random.multinomial(units, np.full(units, 1 / units), (draws, RESAMPLES)).astype(np.float32)
    means: dict[str, np.ndarray] = {}
    for sign, one in zip((1, -1), counts, strict=False):
        flat = one.transpose(0, 2, 1, 3).reshape(draws, units, num_seeds * cells)
        pooled = (weights @ flat).reshape(draws, RESAMPLES, num_seeds, 3, 3)
        share = np.full((draws, RESAMPLES, num_seeds), 1 / num_seeds)
        if seeds:
            share = random.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), (draws, RESAMPLES)) / num_seeds
        for name, values in scores(pooled).items():
            means[name] = means.get(name, 0) + sign * (share * values.mean(axis=-1)).sum(-1)
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return {name: tuple(np.nanquantile(values, tails, axis=-1)) for name, values in means.items()}
