"""A population of scenes with known truth: confusion counts of seeds and tiles, drawn as a study would see them.

A tile has labelled pixels of three classes (common, middle, rare). Its composition and the rates at which each class
is missed follow latent normal variables, on the logit scale:

    rate of missing class c = expit(BASE[c] + seed + scene and tile + seed x scene + seed x tile)

Tiles of one scene lie in a row; neighbours have correlation `rho` in composition and difficulty: half of it is shared
by the whole scene, half decays along the row (AR(1)). Different scenes are independent, and so are seeds. The latent
variance of a tile is the same for every rho, so that the truth is too.
"""

from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

PIXELS = 4096  # labelled pixels of a tile
SHARES = np.array([0.72, 0.23, 0.05])  # of the classes in a typical tile
BASE = np.array([-2.9, -1.6, -0.9])  # logit of the rate at which a class is missed
COMPOSITION = 1.0  # standard deviations on the logit scale, of a tile's composition ...
DIFFICULTY = 0.8  # ... and difficulty, half of its variance common to all classes
INTERACTION = 0.3  # of a seed with a tile (half of the variance with its scene)
BETTER, ALIKE = -0.15, 0.8  # of two cells: the second one's logits, and the difficulty that both share
PRESENT, ABSENT = 1 / 3, -30.0  # where the rare class is patchy: share of scenes, and its logit in the others


@dataclass(frozen=True)
class Design:
    """What a study has: seeds, tiles of each scene, correlation of neighbours, size of the seeds' effect.

    patchy: the rare class is found in about one scene of three. pair: two cells are scored on the same tiles.
    """

    seeds: int
    sizes: tuple[int, ...]
    rho: float
    seed_sd: float
    patchy: bool = False
    pair: bool = False


def skewed_sizes(clusters: int, spread: float, median: float = 6.0) -> tuple[int, ...]:
    """Return tiles of each scene: evenly spaced quantiles of a lognormal distribution, at least one."""
    levels = [(g + 0.5) / clusters for g in range(clusters)]
    return tuple(max(1, round(median * float(np.exp(spread * NormalDist().inv_cdf(p))))) for p in levels)


def normal(random: np.random.Generator, *shape: int) -> np.ndarray:
    return random.standard_normal(shape, dtype=np.float32)


def field(design: Design, draws: int, channels: int, random: np.random.Generator) -> np.ndarray:
    """Return (draws, tiles, channels) of unit variance, correlated within each scene."""
    sizes = np.array(design.sizes)
    shared = design.rho / 2
    phi = np.float32(shared / (1 - shared))
    own = normal(random, draws, int(sizes.sum()), channels)
    first = set(np.cumsum(sizes) - sizes)
    for i in range(own.shape[1]):
        if phi and i not in first:
            own[:, i] = phi * own[:, i - 1] + np.float32(np.sqrt(1 - phi**2)) * own[:, i]
    common = np.repeat(normal(random, draws, len(sizes), channels), sizes, axis=1)
    return np.float32(np.sqrt(shared)) * common + np.float32(np.sqrt(1 - shared)) * own


def draw(design: Design, draws: int, random: np.random.Generator) -> list[np.ndarray]:
    """Return the counts of each draw, seed and tile, of one cell or of two: (draws, seeds, tiles, 3, 3), float32."""
    sizes = np.array(design.sizes)
    composition, difficulty = field(design, draws, 2, random), field(design, draws, 4, random)
    if design.patchy:
        absent = np.repeat(random.random((draws, len(sizes))) > PRESENT, sizes, axis=1)
        composition[..., 1] = np.where(absent, ABSENT, composition[..., 1])
    cells = []
    for shift in (0.0, BETTER)[: 1 + design.pair]:
        seed = np.float32(design.seed_sd) * normal(random, draws, design.seeds, 1, 2)
        scene = np.repeat(normal(random, draws, design.seeds, len(sizes), 1), sizes, axis=2)
        tile = normal(random, draws, design.seeds, int(sizes.sum()), 1)
        interaction = np.float32(INTERACTION * np.sqrt(0.5)) * (scene + tile) + np.float32(shift)
        hard = difficulty
        if design.pair:  # what is hard for one cell is mostly hard for the other one
            own = field(design, draws, 4, random)
            hard = np.float32(np.sqrt(ALIKE)) * difficulty + np.float32(np.sqrt(1 - ALIKE)) * own
        cells.append(counts(composition[:, None], hard[:, None], seed, interaction))
    return cells


def counts(composition: np.ndarray, difficulty: np.ndarray, seed: np.ndarray, interaction: np.ndarray) -> np.ndarray:
    """Return counts from latent variables: composition (..., 2), difficulty (..., 4), seed (..., 2), interaction."""
    logits = np.log(SHARES).astype(np.float32) + np.float32(COMPOSITION) * np.concatenate(
        [np.zeros_like(composition[..., :1]), composition], axis=-1
    )
    share = np.exp(logits)
    share /= share.sum(axis=-1, keepdims=True)
    # One seed may be bolder, another one more careful: the second effect has the opposite sign for the common class.
    bold = np.array([-1.0, 1.0, 1.0], dtype=np.float32) * np.float32(0.7)
    hard = np.float32(DIFFICULTY * np.sqrt(0.5)) * (difficulty[..., :1] + difficulty[..., 1:])
    missed = 1 / (1 + np.exp(-(BASE.astype(np.float32) + hard + seed[..., :1] + bold * seed[..., 1:] + interaction)))
    truth = np.rint(PIXELS * share)
    # A missed pixel is taken for another class: half by chance, half by how much of that class is nearby.
    taken = 0.25 + 0.5 * share
    result = np.zeros((*missed.shape, 3), dtype=np.float32)
    for c in range(3):
        others = [k for k in range(3) if k != c]
        whole = taken[..., others].sum(axis=-1)
        for k in others:
            result[..., c, k] = np.floor(missed[..., c] * truth[..., c] * taken[..., k] / whole + 0.5)
        result[..., c, c] = np.maximum(truth[..., c] - result[..., c, :].sum(axis=-1), 0)
    return result


@cache
def truth(
    seed_sd: float, patchy: bool = False, shift: float = 0.0, *, tiles: int = 100_000, seeds: int = 100
) -> dict[str, float]:
    """Return each score of the population: of all its tiles pooled, for one seed after another, their mean."""
    random = np.random.default_rng(2026)
    composition, difficulty = normal(random, tiles, 2), normal(random, tiles, 4)
    interaction = np.float32(INTERACTION) * normal(random, tiles, 1) + np.float32(shift)
    if patchy:
        composition[:, 1] = np.where(np.arange(tiles) > PRESENT * tiles, ABSENT, composition[:, 1])
    half = normal(random, seeds // 2, 2)  # antithetic: the first order of the seeds' effect cancels
    found = []
    for effect in np.concatenate([half, -half]) * np.float32(seed_sd):
        found.append(scores(counts(composition, difficulty, effect, interaction).sum(axis=0, dtype=np.float64)))
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def scores(pooled: np.ndarray) -> dict[str, np.ndarray]:
    """Return scores of pooled counts (..., 3, 3), as `geocompose.scores` defines them, as (..., C): the means over C.

    NaN where a class is absent.
    """
    right, true, said = np.diagonal(pooled, axis1=-2, axis2=-1), pooled.sum(-1), pooled.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = np.where(true > 0, right / (true + said - right), np.nan)
        accuracy = right.sum(-1, keepdims=True) / pooled.sum((-1, -2))[..., None]
    return {"mIoU": iou, "IoU_rare": iou[..., 2:], "accuracy_micro": accuracy}
