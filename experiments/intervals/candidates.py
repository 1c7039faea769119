"""Ways to make an interval that were compared; the package has the last one alone."""

from collections.abc import Callable

import numpy as np

from geocompose.studies.crossed import (
    Crossed,
    Part,
    half_width,
    interaction,
    parts_of,
    quantile,
    seeds_part,
    shared_weights,
    shift_of,
    too_few,
)

LEVEL = 0.95
RESAMPLES = 200
Bounds = tuple[np.ndarray, np.ndarray]


def seeds_only(cells: list[Crossed]) -> np.ndarray:
    """Mean +- t s / sqrt(S), the usual +- of tables: test tiles are taken for the world."""
    return half_width([seeds_part(cell.scores) for cell in cells], LEVEL)


def two_way_t(cells: list[Crossed]) -> np.ndarray:
    """Classical two-way components: A + B - I with equal weights and Satterthwaite's rule at S - 1 and G - 1."""
    clusters = cells[0].left_out.shape[-1]
    equal = np.full(cells[0].pull.shape, 1 / clusters)
    b = Part(((1 - equal) * shift_of(cells) ** 2).sum(-1), clusters - 1)
    parts = [b, *(seeds_part(cell.scores) for cell in cells)]
    lost = sum(interaction(cell, equal) for cell in cells)
    variance = np.maximum(sum(part.variance for part in parts) - lost, b.variance)
    below = sum(part.variance**2 / part.df for part in parts)
    return quantile(LEVEL, variance**2 / below) * np.sqrt(variance)


def bell_mccaffrey(cells: list[Crossed]) -> np.ndarray:
    """A + B with CR2's weights and Bell and McCaffrey's degrees of freedom (clusters that vary alike)."""
    weights = shared_weights(cells)
    parts = parts_of(cells, growth=2.0)[:1]
    parts += [seeds_part(cell.scores) for cell in cells]
    variance = sum(part.variance for part in parts)
    below = sum(part.variance**2 / part.df for part in parts)
    assert weights.shape == cells[0].pull.shape
    return quantile(LEVEL, variance**2 / below) * np.sqrt(variance)


def banerjee(cells: list[Crossed]) -> np.ndarray:
    """Root of the summed squares of each part's own interval (Banerjee 1960): never too narrow."""
    parts = [*parts_of(cells)[:1], *(seeds_part(cell.scores) for cell in cells)]
    return np.sqrt(sum(quantile(LEVEL, part.df) ** 2 * part.variance for part in parts))


def chosen(cells: list[Crossed]) -> np.ndarray:
    """The package's; NaN where it says "too few"."""
    parts = parts_of(cells)
    few = too_few(cells[0].left_out.shape[-1], parts[0].df)
    return np.where(few, np.nan, half_width(parts, LEVEL))


STUDENT: dict[str, Callable[[list[Crossed]], np.ndarray]] = {
    "seeds only": seeds_only,
    "two-way t, G - 1": two_way_t,
    "jackknife CR2, A + B": bell_mccaffrey,
    "jackknife, Banerjee": banerjee,
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
            means[name] = means.get(name, 0) + sign * (share * values).sum(-1)
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return {name: tuple(np.nanquantile(values, tails, axis=-1)) for name, values in means.items()}
